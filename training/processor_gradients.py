"""Gradients that a processor computes faster than by TensorFlow's own operations, from the same numbers.

- Those of a convolution of 1x1 are matrix products, in which oneDNN is faster than in its convolutions.
- With steps of one, that of a depthwise convolution's pictures is a depthwise convolution itself, with the filters
  turned about, and oneDNN's way forward is the faster one.
- That of a bias, too, is a product, with ones. TensorFlow joins the bias's with the filters', and the two then take
  three times as long.

In BFLOAT16_GRADIENTS those of convolutions are computed in bfloat16 besides, while all else, the losses too, stays
float32. Two thirds of a convolution's work are its gradients, and processors with AVX512_BF16 or AMX multiply bfloat16
at twice the rate of float32 and more. bfloat16 has float32's range (Kalamkar et al. 2019, arXiv:1905.12322), so that
nothing has to be scaled, and products are added up in float32.
"""

from typing import Any

import tensorflow as tf

from vigie.training.devices import BFLOAT16_GRADIENTS

FEWEST_CHANNELS = 32
"""With fewer on one side, rounding to bfloat16 and back takes the memory's time that the product would save."""

_CONV2D = "VigieConv2D"
_CONV2D_IN_BFLOAT16 = "VigieConv2DInBfloat16"
_DEPTHWISE = "VigieDepthwiseConv2dNative"
_BIAS_ADD = "VigieBiasAdd"


def gradient_overrides(precision: str) -> dict[str, str]:
    """What `tf.Graph.gradient_override_map` takes: operations to the gradients that stand here.

    Empty in mixed precisions, and in float32 where there is a GPU, whose own are the better ones.
    """
    if precision == BFLOAT16_GRADIENTS:
        convolution = _CONV2D_IN_BFLOAT16
    elif precision == "float32" and not tf.config.list_physical_devices("GPU"):
        convolution = _CONV2D
    else:
        return {}
    return {"Conv2D": convolution, "DepthwiseConv2dNative": _DEPTHWISE, "BiasAdd": _BIAS_ADD}


@tf.RegisterGradient(_CONV2D)  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _conv2d(operation: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradients of a Conv2D's pictures and filters, from that of its output."""
    return _of_convolution(operation, gradient, gradient.dtype)


@tf.RegisterGradient(_CONV2D_IN_BFLOAT16)  # type: ignore[untyped-decorator]
def _conv2d_in_bfloat16(operation: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    few = min(operation.inputs[1].shape[2:]) < FEWEST_CHANNELS
    return _of_convolution(operation, gradient, gradient.dtype if few else tf.bfloat16)


@tf.RegisterGradient(_DEPTHWISE)  # type: ignore[untyped-decorator]
def _depthwise(operation: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    pictures, filters = operation.inputs
    how = _how(operation)
    rows, columns, _, multiplier = filters.shape
    # With SAME padding an odd filter stands over the middle, turned about or not.
    if how["strides"] == [1, 1, 1, 1] and how["padding"] == "SAME" and rows % 2 and columns % 2 and multiplier == 1:
        of_pictures = tf.raw_ops.DepthwiseConv2dNative(input=gradient, filter=tf.reverse(filters, [0, 1]), **how)
    else:
        of_pictures = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=tf.shape(pictures), filter=filters, out_backprop=gradient, **how
        )
    of_filters = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        input=pictures, filter_sizes=tf.shape(filters), out_backprop=gradient, **how
    )
    return of_pictures, of_filters


@tf.RegisterGradient(_BIAS_ADD)  # type: ignore[untyped-decorator]
def _bias_add(operation: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    assert operation.get_attr("data_format") == b"NHWC"
    rows = _rows(gradient)
    return gradient, tf.linalg.matvec(rows, tf.ones_like(rows[:, 0]), transpose_a=True)


def _of_convolution(operation: tf.Operation, gradient: tf.Tensor, computed: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    pictures, filters = operation.inputs
    of_output, by_filters, by_pictures = (tf.cast(one, computed) for one in (gradient, filters, pictures))
    how = _how(operation)
    if filters.shape[:2] == (1, 1) and how["strides"] == [1, 1, 1, 1] and how["padding"] != "EXPLICIT":
        of_pictures = tf.matmul(_rows(of_output), by_filters[0, 0], transpose_b=True)
        of_filters = tf.matmul(_rows(by_pictures), _rows(of_output), transpose_a=True)
    else:
        of_pictures = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(pictures), filter=by_filters, out_backprop=of_output, **how
        )
        of_filters = tf.raw_ops.Conv2DBackpropFilter(
            input=by_pictures, filter_sizes=tf.shape(filters), out_backprop=of_output, **how
        )
    return (
        tf.reshape(tf.cast(of_pictures, pictures.dtype), tf.shape(pictures)),
        tf.reshape(tf.cast(of_filters, filters.dtype), filters.shape),
    )


def _how(operation: tf.Operation) -> dict[str, Any]:
    """Attributes that a convolution shares with its gradients. On a processor pictures are B x height x width x C."""
    assert operation.get_attr("data_format") == b"NHWC"
    return {
        "strides": operation.get_attr("strides"),
        "padding": operation.get_attr("padding").decode(),
        "explicit_paddings": operation.get_attr("explicit_paddings"),
        "dilations": operation.get_attr("dilations"),
        "data_format": "NHWC",
    }


def _rows(pictures: tf.Tensor) -> tf.Tensor:
    """B x height x width x C -> (B * height * width) x C."""
    return tf.reshape(pictures, (-1, pictures.shape[-1]))
