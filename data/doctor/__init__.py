"""What is wrong with a data set, before anybody trains on it: `vigie.data.doctor.check.check`."""
