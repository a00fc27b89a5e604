"""Gradients of convolutions in bfloat16, while all else, the losses too, stays float32.

Two thirds of a convolution's work are its gradients, and processors with AVX512_BF16 or AMX multiply bfloat16 at twice
the rate of float32 and more. bfloat16 has float32's range (Kalamkar et al. 2019, arXiv:1905.12322), so that nothing has
to be scaled, and products are added up in float32.
"""

from typing import Any

import tensorflow as tf

CONV2D = "VigieConv2DInBfloat16"
FEWEST_CHANNELS = 32
"""With fewer on one side, rounding to bfloat16 and back takes the memory's time that the product would save."""


@tf.RegisterGradient(CONV2D)  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _conv2d(operation: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """float32 gradients of a float32 Conv2D's input and filters, from that of its output."""
    pictures, filters = operation.inputs
    computed = tf.bfloat16 if min(filters.shape[2:]) >= FEWEST_CHANNELS else tf.float32
    how: dict[str, Any] = {
        "out_backprop": tf.cast(gradient, computed),
        "strides": operation.get_attr("strides"),
        "padding": operation.get_attr("padding").decode(),
        "explicit_paddings": operation.get_attr("explicit_paddings"),
        "dilations": operation.get_attr("dilations"),
        "data_format": operation.get_attr("data_format").decode(),
    }
    of_pictures = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(pictures), filter=tf.cast(filters, computed), **how
    )
    of_filters = tf.raw_ops.Conv2DBackpropFilter(
        input=tf.cast(pictures, computed), filter_sizes=tf.shape(filters), **how
    )
    return tf.cast(of_pictures, tf.float32), tf.cast(of_filters, tf.float32)
