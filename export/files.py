"""Raw heads as files: what TF Serving runs, and what LiteRT runs.

Neither decodes nor suppresses: that is `vigie.decoding`, the same for all of them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from vigie.bundle import InputSpec, OutputSpec

SAVED_MODEL_FILE = "saved_model.pb"
TFLITE_FILE = "model_fp32.tflite"
OUTPUTS = OutputSpec()


class RawModel(Protocol):
    """A Keras model, or what is like one."""

    @property
    def variables(self) -> Sequence[Any]: ...

    def __call__(self, pictures: Any, *, training: bool) -> Mapping[str, Any]:
        """Normalised pictures, B x height x width x 3 float32 -> raw boxes B x N x 4 and scores B x N x C by name."""


def write_saved_model(model: RawModel, folder: Path, spec: InputSpec) -> None:
    """Write saved_model.pb and variables/: `serving_default` takes uint8 `pictures` B x height x width x 3."""
    mean, std = tf.constant(spec.mean_rgb, tf.float32), tf.constant(spec.std_rgb, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, spec.height, spec.width, 3), tf.uint8, "pictures")])  # type: ignore[untyped-decorator]
    def serve(pictures: Any) -> dict[str, Any]:
        return _named(model((tf.cast(pictures, tf.float32) - mean) / std, training=False))

    tf.saved_model.save(_holder(model, serve), str(folder), signatures={"serving_default": serve})


def write_tflite(model: RawModel, path: Path, spec: InputSpec) -> None:
    """Write a float32 model for one normalised picture, 1 x height x width x 3; its signature names the outputs."""

    @tf.function(input_signature=[tf.TensorSpec((1, spec.height, spec.width, 3), tf.float32, "pictures")])  # type: ignore[untyped-decorator]
    def run(pictures: Any) -> dict[str, Any]:
        return _named(model(pictures, training=False))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()], _holder(model, run))
    path.write_bytes(converter.convert())


def _named(outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tf.identity(outputs[name], name) for name in (OUTPUTS.boxes, OUTPUTS.scores)}


def _holder(model: RawModel, function: Any) -> Any:
    """What TensorFlow saves: the function and the variables that it reads.

    Not the Keras model itself, of which every layer would be traced and saved a second time.
    """
    holder = tf.Module()
    holder.weights = list(model.variables)
    holder.run = function
    return holder
