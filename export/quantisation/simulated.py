"""A network that computes as its int8 file will: weights and results rounded to 256 steps, gradients passed through.

After Jacob et al. 2018 (arXiv:1712.05877) and Krishnamoorthi 2018 (arXiv:1806.08342): weights symmetric, with a range
for each output channel; results with one range for all channels. Batch norm keeps its moving statistics, so it scales
a channel as a whole, and rounding a kernel before it is what the file does after it was folded in.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf
import tf_keras

from vigie.export.quantisation.traced import Operation, TracedNetwork

Rounding: TypeAlias = Callable[[int, Any], Any]
"""Takes the number of a place in the network and the values there; what it returns is gone on with."""

CLASSES, BOXES = "cls_outputs", "box_outputs"
_WEIGHT_STEPS = 127
_CHANNEL_AXIS = {"Conv2D": 3, "DepthwiseConv2dNative": 2}
_BATCH_NORM = "FusedBatchNormV3"
_ACTIVATIONS = ("Relu6", "Relu")
_FUSED = {
    "Conv2D": ("BiasAdd", _BATCH_NORM, *_ACTIVATIONS),
    "DepthwiseConv2dNative": ("BiasAdd", _BATCH_NORM, *_ACTIVATIONS),
    "BiasAdd": (_BATCH_NORM, *_ACTIVATIONS),
    _BATCH_NORM: _ACTIVATIONS,
    "AddV2": _ACTIVATIONS,
}
"""What the converter makes one with the operation before it, whose own result is then nowhere to be rounded."""
_ROUNDED = (*_FUSED, *_ACTIVATIONS)


def traced_heads(network: tf_keras.Model, height: int, width: int) -> TracedNetwork:
    """Normalised pictures -> logits and box codes by level, with batch norm as it is at detection."""

    def heads(pictures: Any) -> dict[str, Any]:
        classes, boxes, _ = network.head(network.decoder(network.backbone(pictures, training=False)))
        return {CLASSES: classes, BOXES: boxes}

    return TracedNetwork(heads, (None, height, width, 3))


class SimulatedNetwork:
    """Gives what the heads give. `places` is the number of places that are rounded; 0 is that of the pictures."""

    def __init__(self, traced: TracedNetwork) -> None:
        self._traced = traced
        self._kernels = _kernels(traced)
        self._places = _places(traced)
        self.places = 1 + max(self._places.values())

    def __call__(self, pictures: Any, rounding: Rounding, *, round_weights: bool = True) -> dict[str, dict[str, Any]]:
        """`pictures` are normalised, B x height x width x 3 float32."""

        def change(operation: Operation, inputs: Sequence[Any], execute: Callable[[], Any]) -> Any:
            value = _as_convolution(operation, inputs) if _is_lone_batch_norm(operation) else execute()
            if round_weights and operation.name in self._kernels:
                value = rounded_kernel(value, self._kernels[operation.name])
            place = self._places.get(operation.name)
            return value if place is None else rounding(place, value)

        outputs: dict[str, dict[str, Any]] = self._traced.run(pictures, change)
        return outputs

    @property
    def variables(self) -> Sequence[Any]:
        return self._traced.variables

    def round_kernels(self) -> None:
        """Give the network the kernels that it computes with when they are rounded."""
        for operation in self._traced.operations:
            if operation.name in self._kernels:
                kernel = self._traced.variable_of(operation)
                kernel.assign(rounded_kernel(kernel, self._kernels[operation.name]))


def rounded_kernel(kernel: Any, axis: int) -> Any:
    """255 steps from minus to plus the largest weight of each entry of `axis`; the gradient is that of no rounding."""
    others = [one for one in range(len(kernel.shape)) if one != axis]
    step = tf.reduce_max(tf.abs(kernel), axis=others, keepdims=True) / _WEIGHT_STEPS
    rounded = tf.round(tf.math.divide_no_nan(kernel, step)) * step
    return kernel + tf.stop_gradient(rounded - kernel)


def _kernels(traced: TracedNetwork) -> dict[str, int]:
    """The reading of each kernel, and the axis of its output channels."""
    return {
        operation.inputs[1].op.name: _CHANNEL_AXIS[operation.type]
        for operation in traced.operations
        if operation.type in _CHANNEL_AXIS
    }


def _places(traced: TracedNetwork) -> dict[str, int]:
    """The operations whose results are rounded. Those of one head are one place, for the file joins its levels."""
    heads = {_source(level).name: name for name, levels in traced.outputs.items() for level in levels.values()}
    places = {traced.input.name: 0}
    of_heads: dict[str, int] = {}
    for operation in traced.operations:
        if operation.type not in _ROUNDED or operation.outputs[0].dtype != tf.float32 or _is_fused(operation):
            continue
        free = 1 + max(places.values())
        head = heads.get(operation.name)
        places[operation.name] = free if head is None else of_heads.setdefault(head, free)
    return places


def _source(operation: Operation) -> Operation:
    while operation.type == "Identity":
        operation = operation.inputs[0].op
    return operation


def _is_fused(operation: Operation) -> bool:
    """Into the only one that takes its result."""
    consumers = operation.outputs[0].consumers()
    return len(consumers) == 1 and consumers[0].type in _FUSED.get(operation.type, ())


def _is_lone_batch_norm(operation: Operation) -> bool:
    """It follows an operation whose own result is needed as well, so that it cannot be folded into it."""
    return operation.type == _BATCH_NORM and not _is_fused(operation.inputs[0].op)


def _as_convolution(operation: Operation, inputs: Sequence[Any]) -> Any:
    """A lone batch norm as one operation of the file, where a product and a sum would be two that round."""
    values, scale, offset, mean, variance = inputs
    factor = scale * tf.math.rsqrt(variance + operation.get_attr("epsilon"))
    kernel = tf.reshape(factor, (1, 1, -1, 1))
    scaled = tf.nn.depthwise_conv2d(values, kernel, strides=(1, 1, 1, 1), padding="SAME")
    return tf.nn.bias_add(scaled, offset - mean * factor)
