"""Is a file what was trained? Each beside the checkpoint, by its own runtime."""
