"""`vigie.resizing` as TensorFlow operations, for a model that takes pictures of any size: the same pixels, to the bit.

OpenCV resizes bytes in whole numbers; what computes in floating point differs from it by one level at every eighth
pixel, and scores by some thousandths.
"""

from typing import Any

import tensorflow as tf

from vigie.bundle import InputSpec
from vigie.resizing import GREY

_SCALE_BITS = 11  # of a weight; the two of a pair sum to 2048


def placement(height: Any, width: Any, spec: InputSpec) -> Any:
    """`vigie.resizing.InputSize.placement` of scalar tensors: top, left, height and width in the input, int32."""
    if spec.resize == "stretch":
        return tf.constant([0, 0, spec.height, spec.width], tf.int32)
    height, width = tf.cast(height, tf.int64), tf.cast(width, tf.int64)
    inner = tf.where(
        spec.width * height <= spec.height * width,
        tf.stack([(2 * height * spec.width + width) // (2 * width), spec.width]),
        tf.stack([spec.height, (2 * width * spec.height + height) // (2 * height)]),
    )
    inner = tf.maximum(inner, 1)
    return tf.cast(tf.concat([((spec.height, spec.width) - inner) // 2, inner], axis=0), tf.int32)


def placed(pictures: Any, place: Any, spec: InputSpec) -> Any:
    """uint8 pictures of one size, B x H x W x 3 -> B x height x width x 3 of the input, where `placement` says."""
    fits = tf.reduce_all(tf.shape(pictures)[1:3] == place[2:])
    inner = tf.cond(fits, lambda: pictures, lambda: stretched(pictures, place[2], place[3]))
    if spec.resize == "letterbox":
        after = (spec.height, spec.width) - place[:2] - place[2:]
        around = tf.pad(tf.stack([place[:2], after], axis=1), [[1, 1], [0, 0]])  # none for batch and colours
        inner = tf.pad(inner, around, constant_values=tf.constant(GREY, tf.uint8))
    return tf.ensure_shape(inner, (None, spec.height, spec.width, 3))


def stretched(pictures: Any, height: Any, width: Any) -> Any:
    """As `cv2.resize` with INTER_LINEAR: B x H x W x 3 -> B x height x width x 3, uint8; its rounding is its own."""
    above, below, upper, lower = _pair(tf.shape(pictures)[1], height)
    before, after, left, right = _pair(tf.shape(pictures)[2], width)
    # Rows of width * 3 numbers: a weight that would be spread over the colours costs ten times what this does.
    left, right = tf.repeat(left, 3), tf.repeat(right, 3)
    rows = (-1, height, width * 3)

    def across(picked: Any) -> Any:
        halves = [
            tf.cast(tf.reshape(tf.gather(picked, columns, axis=2), rows), tf.int32) for columns in (before, after)
        ]
        return tf.bitwise.right_shift(halves[0] * left + halves[1] * right, 4)

    def down(lines: Any, weights: Any) -> Any:
        return tf.bitwise.right_shift(across(tf.gather(pictures, lines, axis=1)) * weights[:, tf.newaxis], 16)

    summed = tf.bitwise.right_shift(down(above, upper) + down(below, lower) + 2, 2)
    return tf.cast(tf.reshape(summed, (-1, height, width, 3)), tf.uint8)


def _pair(source: Any, target: Any) -> tuple[Any, Any, Any, Any]:
    """Between which two places of an axis each of the `target` ones lies, and the weights of both, in 2048ths."""
    step = 1 / (tf.cast(target, tf.float64) / tf.cast(source, tf.float64))
    middles = tf.cast((tf.cast(tf.range(target), tf.float64) + 0.5) * step - 0.5, tf.float32)
    first = tf.floor(middles)
    share = middles - first
    weights = [tf.cast(tf.round(part * 2**_SCALE_BITS), tf.int32) for part in (1 - share, share)]
    places = [tf.clip_by_value(tf.cast(first, tf.int32) + more, 0, source - 1) for more in (0, 1)]
    return places[0], places[1], weights[0], weights[1]
