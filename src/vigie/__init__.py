"""Vigie: from annotated pictures to a detector, from the detector to live cameras that raise alerts."""
