"""Models as files: which are there, whether they are whole, and where those of others come from."""
