"""ONNX: what ONNX Runtime, OpenVINO and many others run."""

from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
import tf2onnx

from vigie.bundle import InputSpec
from vigie.errors import BadBundle
from vigie.export.files.native_noise import native_noise_held
from vigie.export.files.raw_model import INPUT, RawModel, named

OPSET = 17
"""Of the ONNX operators. Older than the newest that the converter knows, so that runtimes of some years ago run it."""

_BATCH = "batch"


def write_onnx(model: RawModel, path: Path, spec: InputSpec) -> None:
    """Write the model as it is: B x height x width x 3 float32 `pictures`, normalised -> `raw_boxes`, `scores`.

    Any number of pictures at once. Colours stand last, as in the other files: the one transposition in front costs
    nothing beside the first convolution.

    Raises:
        BadBundle: the converter made no valid model.
    """
    signature = [tf.TensorSpec((None, spec.height, spec.width, 3), tf.float32, INPUT)]
    run = tf.function(
        lambda pictures: named(model(pictures, training=False)), input_signature=signature, autograph=False
    )
    with native_noise_held():
        converted, _ = tf2onnx.convert.from_function(run, signature, opset=OPSET)
    for tensor in (*converted.graph.input, *converted.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = _BATCH  # the converter invents a name for each
    _name_upsampling_by_what_stays(converted.graph)
    _check(converted, path)
    path.write_bytes(converted.SerializeToString())


def _name_upsampling_by_what_stays(graph: onnx.GraphProto) -> None:
    """The converter writes TensorFlow's own name for the mode, which ONNX means to drop and runtimes warn about.

    Of an upsampling by a whole number, the nearest pixel is the same in this one.
    """
    for node in (node for node in graph.node if node.op_type == "Resize"):
        for attribute in node.attribute:
            if attribute.s == b"tf_half_pixel_for_nn":
                attribute.s = b"asymmetric"
            elif attribute.name == "nearest_mode":
                attribute.s = b"floor"


def _check(converted: Any, path: Path) -> None:
    """What the converter knows no operator for it writes as it is, and only logs that."""
    try:
        onnx.checker.check_model(converted, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BadBundle(f"{path}: the converter made no valid ONNX model: {error}") from error
