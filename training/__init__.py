"""Experiment and records in, checkpoint out, and the evaluation of any detector. Import it as ``vigie.training``."""
