"""How good detections are. Every measure counts on one matching, which is COCO's; see `matching`."""
