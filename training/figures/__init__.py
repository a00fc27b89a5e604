"""What an evaluation looks like: one function a figure, collected in `vigie.training.plots`."""
