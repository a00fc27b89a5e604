"""The files of a bundle, a format each."""
