"""Checkpoint in, model bundle out. Import it as ``vigie.export``."""
