"""Pictures in, detections out, one runtime a file (see ``vigie.ports.Detector``)."""
