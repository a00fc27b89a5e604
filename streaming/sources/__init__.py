"""Where frames come from, one adapter a file (see ``vigie.ports.FrameSource``)."""
