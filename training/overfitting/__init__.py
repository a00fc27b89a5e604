"""Whether a few pictures can be learnt by heart, and which part of a model does not."""
