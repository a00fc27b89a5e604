"""Raw heads as files: what TF Serving runs, and what LiteRT runs.

Neither decodes nor suppresses: that is `vigie.decoding`, the same for all of them.
"""

from pathlib import Path
from typing import Any

import tensorflow as tf

from vigie.bundle import InputSpec
from vigie.export.raw_model import OUTPUTS, RawModel, holder, named

SAVED_MODEL_FILE = "saved_model.pb"
TFLITE_FILE = "model_fp32.tflite"
__all__ = ["OUTPUTS", "SAVED_MODEL_FILE", "TFLITE_FILE", "write_saved_model", "write_tflite"]


def write_saved_model(model: RawModel, folder: Path, spec: InputSpec) -> None:
    """Write saved_model.pb and variables/: `serving_default` takes uint8 `pictures` B x height x width x 3."""
    mean, std = tf.constant(spec.mean_rgb, tf.float32), tf.constant(spec.std_rgb, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, spec.height, spec.width, 3), tf.uint8, "pictures")])  # type: ignore[untyped-decorator]
    def serve(pictures: Any) -> dict[str, Any]:
        return named(model((tf.cast(pictures, tf.float32) - mean) / std, training=False))

    tf.saved_model.save(holder(model, serve), str(folder), signatures={"serving_default": serve})


def write_tflite(model: RawModel, path: Path, spec: InputSpec) -> None:
    """Write a float32 model for one normalised picture, 1 x height x width x 3; its signature names the outputs."""

    @tf.function(input_signature=[tf.TensorSpec((1, spec.height, spec.width, 3), tf.float32, "pictures")])  # type: ignore[untyped-decorator]
    def run(pictures: Any) -> dict[str, Any]:
        return named(model(pictures, training=False))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()], holder(model, run))
    path.write_bytes(converter.convert())
