"""Boxes as the network gives them, and how well two boxes agree, in TensorFlow.

Boxes are float32 [n, 4]: top, left, bottom, right in pixels of the input. Codes are what the network's box head gives:
the box as seen from its anchor, after Ren et al. 2015 (arXiv:1506.01497); `vigie.decoding` reads them at detection.
"""

import math

import tensorflow as tf

BOX_CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Of dy, dx, dh, dw, those of the TensorFlow detection zoo."""

_LARGEST_LOG_SIZE = math.log(1000 / 16)  # as Model Garden and `vigie.decoding`: exp() of more would overflow
_EPSILON = 1e-8


def encoded(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The codes of boxes, each seen from the anchor in its row."""
    centre, size = _centre_and_size(boxes)
    anchor_centre, anchor_size = _centre_and_size(anchors)
    anchor_size += _EPSILON
    codes = tf.concat([(centre - anchor_centre) / anchor_size, tf.math.log((size + _EPSILON) / anchor_size)], axis=-1)
    return codes * BOX_CODE_WEIGHTS


def decoded(codes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The boxes of codes; sides of more than 62.5 times the anchor's are cut to that."""
    anchor_centre, anchor_size = _centre_and_size(anchors)
    shift, stretch = tf.split(codes / BOX_CODE_WEIGHTS, 2, axis=-1)
    centre = anchor_centre + shift * anchor_size
    half = tf.exp(tf.minimum(stretch, _LARGEST_LOG_SIZE)) * anchor_size / 2
    return tf.concat([centre - half, centre + half], axis=-1)


def iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Intersection over union of each box with the one in its row of `others`; 0 where both have no area."""
    intersection, union = _intersection_and_union(boxes, others)
    return tf.math.divide_no_nan(intersection, union)


def giou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Generalised IoU, -1 to 1: less where the smallest box around both is emptier (Rezatofighi et al. 2019,
    arXiv:1902.09630, algorithm 1).
    """
    intersection, union = _intersection_and_union(boxes, others)
    height, width = tf.unstack(_around(boxes, others), axis=-1)
    hull = height * width
    return tf.math.divide_no_nan(intersection, union) - tf.math.divide_no_nan(hull - union, hull)


def diou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Distance IoU, -1 to 1: less by the squared distance of the centres as a share of the squared diagonal of the
    smallest box around both (Zheng et al. 2020, arXiv:1911.08287, equation 7).
    """
    distance = _centre_and_size(boxes)[0] - _centre_and_size(others)[0]
    diagonal = tf.reduce_sum(tf.square(_around(boxes, others)), axis=-1)
    return iou(boxes, others) - tf.math.divide_no_nan(tf.reduce_sum(tf.square(distance), axis=-1), diagonal)


def _centre_and_size(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + size / 2, size


def _intersection_and_union(boxes: tf.Tensor, others: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    sides = tf.minimum(boxes[..., 2:], others[..., 2:]) - tf.maximum(boxes[..., :2], others[..., :2])
    intersection = tf.reduce_prod(tf.nn.relu(sides), axis=-1)
    areas = [tf.reduce_prod(of[..., 2:] - of[..., :2], axis=-1) for of in (boxes, others)]
    return intersection, areas[0] + areas[1] - intersection


def _around(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Height and width of the smallest box around both."""
    return tf.maximum(boxes[..., 2:], others[..., 2:]) - tf.minimum(boxes[..., :2], others[..., :2])
