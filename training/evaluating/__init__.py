"""How good any detector is, and how two compare."""
