"""Training with int8 arithmetic simulated, so that the weights settle where rounding them costs little."""
