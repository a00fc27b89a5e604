"""TensorFlow Lite files: raw heads in three precisions, and one that finds boxes by itself.

Each takes one picture. The float files and the int8 one take what `InputSpec` normalised; the one with boxes takes
pixels scaled to -1 ... 1.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from vigie.anchors import Boxes
from vigie.bundle import InputSpec
from vigie.decoding import Decoder
from vigie.errors import BadBundle
from vigie.export.files.flatbuffer_tables import with_outputs
from vigie.export.files.native_noise import native_noise_held
from vigie.export.files.raw_model import INPUT, OUTPUTS, RawModel, named
from vigie.pictures import Pixels
from vigie.progress import progress as progress_bar
from vigie.resizing import normalised

CALIBRATION_PICTURES = 100
"""How many pictures of the training part show the int8 file its ranges."""

PHONE_MEAN, PHONE_STD = 127.5, 127.5
"""How the file with boxes takes its pixels, (pixel - mean) / std: MediaPipe refuses other numbers for red than for
blue, and these are what other tools assume of a float detector."""

POSTPROCESS_SCORE_THRESHOLD = 0.01
"""What the file with boxes leaves out; whoever runs it has a threshold above."""

POSTPROCESS_OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
"""In the order in which the file gives them: 1 x M x 4 (top, left, bottom, right, 0 to 1 of the input), 1 x M,
1 x M, 1."""


def write_fp32(model: RawModel, path: Path, spec: InputSpec) -> None:
    """Write the model as it is: 1 x height x width x 3 float32 `pictures`, normalised -> `raw_boxes`, `scores`."""
    _write(_converter(_heads(frozen(model, spec)), spec), path)


def write_fp16(model: RawModel, path: Path, spec: InputSpec) -> None:
    """As `write_fp32` with weights of half the size; it takes and gives float32."""
    _write(_half_weights(_converter(_heads(frozen(model, spec)), spec)), path)


def write_int8(
    model: RawModel, path: Path, spec: InputSpec, calibration: Sequence[Pixels], *, progress: bool = False
) -> None:
    """Write the model in whole numbers: int8 in, int8 out, no floating-point operation between.

    What it takes and gives are the tensors of `write_fp32`, scaled as each tensor's quantisation says. `calibration`
    are pictures as the model sees them, height x width x 3 RGB of 0 to 255, of the training part: ranges that none of
    them shows are cut off.

    Raises:
        ValueError: there is no picture.
    """
    if not calibration:
        raise ValueError("an int8 file needs pictures to take its ranges from")

    def shown() -> Iterator[list[npt.NDArray[np.float32]]]:
        with progress_bar(calibration, description="calibrating int8", unit="picture", show=progress) as bar:
            for pixels in bar:
                yield [normalised(pixels, spec.mean_rgb, spec.std_rgb)[None]]

    converter = _converter(_heads(frozen(model, spec)), spec)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = shown
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    _write(converter, path)


def write_postprocess(model: RawModel, path: Path, spec: InputSpec, decoder: Decoder) -> None:
    """Write a file that gives boxes, for phones and MediaPipe: float32 in and out, weights of half the size.

    It takes `pictures` 1 x height x width x 3 as `PHONE_MEAN` and `PHONE_STD` say, and gives POSTPROCESS_OUTPUTS, the
    decoder's `max_detections` rows M. Boxes of different labels suppress each other, for TensorFlow Lite's operator is
    wrong with several threads where they do not.
    """
    anchors = tf.constant(_centre_size(decoder))
    found = _found_by_the_operator(decoder)
    scale = tf.constant(PHONE_STD / np.asarray(spec.std_rgb), tf.float32)
    shift = tf.constant((PHONE_MEAN - np.asarray(spec.mean_rgb)) / np.asarray(spec.std_rgb), tf.float32)

    raw = frozen(model, spec)

    def run(pictures: Any) -> dict[str, Any]:
        heads = raw(pictures * scale + shift, training=False)
        tensors = found(heads[OUTPUTS.boxes], heads[OUTPUTS.scores], anchors)
        return {name: tf.identity(one, name) for name, one in zip(POSTPROCESS_OUTPUTS, tensors, strict=True)}

    converter = _half_weights(_converter(run, spec))
    converter.allow_custom_ops = True
    _write(converter, path)
    tensors = outputs_of(path)
    path.write_bytes(with_outputs(path.read_bytes(), [tensors[name] for name in POSTPROCESS_OUTPUTS]))


def outputs_of(path: Path) -> dict[str, int]:
    """By its name in the signature each output's tensor, in the order in which the file gives them.

    Raises:
        BadBundle: LiteRT cannot load the file.
    """
    with native_noise_held():
        try:
            interpreter = Interpreter(model_path=str(path), num_threads=1)
            signature = interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise BadBundle(f"{path}: cannot be loaded by LiteRT: {error}; export it again") from error
    names = {int(tensor["index"]): name for name, tensor in signature.get_output_details().items()}
    return {names[int(tensor["index"])]: int(tensor["index"]) for tensor in interpreter.get_output_details()}


class Frozen:
    """A `RawModel` for one picture whose variables became constants: it is converted in a seventh of the time."""

    variables: Sequence[Any] = ()

    def __init__(self, model: RawModel, spec: InputSpec) -> None:
        traced = _traced(lambda pictures: named(model(pictures, training=False)), spec)
        with native_noise_held():
            self._run: Any = convert_variables_to_constants_v2(traced)
        # The constants' function gives a list, in the order of the names.
        self._outputs = sorted(traced.structured_outputs)

    def __call__(self, pictures: Any, *, training: bool) -> dict[str, Any]:  # noqa: ARG002 - it is past training
        return dict(zip(self._outputs, self._run(pictures), strict=True))


def frozen(model: RawModel, spec: InputSpec) -> Frozen:
    """To write several files of one model, freeze it first; each of them does so otherwise."""
    return model if isinstance(model, Frozen) else Frozen(model, spec)


def _heads(model: Frozen) -> Callable[[Any], dict[str, Any]]:
    return lambda pictures: named(model(pictures, training=False))


def _traced(run: Callable[[Any], dict[str, Any]], spec: InputSpec) -> Any:
    picture = tf.TensorSpec((1, spec.height, spec.width, 3), tf.float32, INPUT)
    return tf.function(run, input_signature=[picture], autograph=False).get_concrete_function()


def _converter(run: Callable[[Any], dict[str, Any]], spec: InputSpec) -> Any:
    """Of a function that reads no variables: the names in its signature are what tensors are found by."""
    return tf.lite.TFLiteConverter.from_concrete_functions([_traced(run, spec)], tf.Module())


def _half_weights(converter: Any) -> Any:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter


def _write(converter: Any, path: Path) -> None:
    with native_noise_held():
        path.write_bytes(converter.convert())


def _centre_size(decoder: Decoder) -> Boxes:
    """The anchors as the operator takes them: centre y, centre x, height, width, 0 to 1 of the input."""
    top_left, bottom_right = decoder.anchors[:, :2], decoder.anchors[:, 2:]
    size = np.array([decoder.input_height, decoder.input_width], np.float32)
    return np.concatenate([(top_left + bottom_right) / 2 / size, (bottom_right - top_left) / size], axis=1)


def _found_by_the_operator(decoder: Decoder) -> Any:
    """A function that the converter replaces by TensorFlow Lite's detection operator, as the name in it says."""
    rows = decoder.max_detections

    @tf.function(experimental_implements=_operator(decoder))  # type: ignore[untyped-decorator]
    def detect(raw_boxes: Any, scores: Any, anchors: Any) -> tuple[Any, Any, Any, Any]:  # noqa: ARG001
        return (
            tf.zeros((1, rows, 4), name="boxes"),
            tf.zeros((1, rows), name="classes"),
            tf.zeros((1, rows), name="scores"),
            tf.zeros((1,), name="number"),
        )

    return detect


def _operator(decoder: Decoder) -> str:
    """The operator's name and attributes, as the text of TensorFlow's `NameAttrList`."""
    y, x, height, width = decoder.box_weights
    attributes = [
        ("max_detections", "i", decoder.max_detections),
        ("max_classes_per_detection", "i", 1),
        ("use_regular_nms", "b", "false"),
        ("nms_score_threshold", "f", POSTPROCESS_SCORE_THRESHOLD),
        ("nms_iou_threshold", "f", decoder.nms_iou),
        ("y_scale", "f", y),
        ("x_scale", "f", x),
        ("h_scale", "f", height),
        ("w_scale", "f", width),
        ("num_classes", "i", len(decoder.labels)),
    ]
    written = " ".join(f'attr {{ key: "{key}" value {{ {kind}: {value} }} }}' for key, kind, value in attributes)
    return f'name: "TFLite_Detection_PostProcess" {written}'
