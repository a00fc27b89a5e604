"""Which runtime, how many processes and threads run a model the fastest on this machine: measured, not guessed."""
