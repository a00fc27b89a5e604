"""VOC pictures in, TFRecord out. Import it as ``vigie.data``."""
