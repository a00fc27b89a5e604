"""The live page: annotated frames over WebSocket."""
