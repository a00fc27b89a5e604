"""Even ranges within a separable convolution, without any change to what it computes.

After cross-layer equalisation of Nagel et al. 2019 (arXiv:1906.04721): no activation stands between the halves, so a
channel may be scaled in the first and scaled back in the second. One range for all channels then fits each of them.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from vigie.export.quantisation.traced import TracedNetwork


def equalise(traced: TracedNetwork) -> None:
    """Make the largest weights of each inner channel alike in both halves, in the network itself."""
    for depthwise, pointwise in _separable(traced):
        first = tf.reduce_max(tf.abs(depthwise), axis=(0, 1, 3))
        second = tf.reduce_max(tf.abs(pointwise), axis=(0, 1, 3))
        alike = tf.sqrt(first * second)
        dead = alike == 0  # nothing passes there, whatever the scale
        ones = tf.ones_like(alike)
        depthwise.assign(depthwise * tf.where(dead, ones, tf.math.divide_no_nan(alike, first))[:, None])
        pointwise.assign(pointwise * tf.where(dead, ones, tf.math.divide_no_nan(alike, second))[:, None])


def _separable(traced: TracedNetwork) -> Iterator[tuple[Any, Any]]:
    """The two kernels of each, once also where several levels share them."""
    found = set()
    for operation in traced.operations:
        before = operation.inputs[0].op if operation.type == "Conv2D" else None
        if before is None or before.type != "DepthwiseConv2dNative" or len(before.outputs[0].consumers()) != 1:
            continue
        depthwise, pointwise = (traced.variable_of(one.inputs[1].op) for one in (before, operation))
        if depthwise.ref() not in found:
            found.add(depthwise.ref())
            yield depthwise, pointwise
