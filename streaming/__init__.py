"""Sources to Kafka to detections to the live page; never TensorFlow. Import it as ``vigie.streaming``."""
