"""The smallest network with raw heads, for tests of files: one convolution, 24 anchors, two labels."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.bundle import InputSpec
from vigie.decoding import Decoder

LABELS = ("hat", "été d'or")
SPEC = InputSpec(width=48, height=32, mean_rgb=(120.0, 110.0, 100.0), std_rgb=(60.0, 50.0, 40.0))
_GRID = AnchorSpec(min_level=3, max_level=3, scales=1, aspect_ratios=(1.0,))


class OneConvolution(tf.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.random.stateless_normal((8, 8, 3, 6), (1, 2), stddev=0.1))

    def __call__(self, pictures: Any, *, training: bool) -> Mapping[str, Any]:
        cells = tf.reshape(tf.nn.conv2d(pictures, self.kernel, strides=8, padding="SAME"), (-1, 24, 6))
        return {"raw_boxes": cells[..., :4], "scores": tf.sigmoid(cells[..., 4:])}


def decoder() -> Decoder:
    anchors = anchors_yxyx_px(_GRID, SPEC.width, SPEC.height)
    return Decoder(LABELS, SPEC.width, SPEC.height, anchors, nms_iou=0.5, max_detections=5)
