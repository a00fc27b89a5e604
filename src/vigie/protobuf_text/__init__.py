"""Protobuf's text format without the definition of its messages: pipeline.config and label maps."""
