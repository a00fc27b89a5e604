"""What carries messages between the stages, one adapter a file (see ``vigie.ports.Bus``)."""
