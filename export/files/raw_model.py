"""What every exported file is made of: a model with raw heads, and the names of its outputs.

A file neither decodes nor suppresses unless it says so: that is `vigie.decoding`, the same for all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from vigie.bundle import OutputSpec

INPUT = "pictures"
"""The name by which every file takes its pictures."""

OUTPUTS = OutputSpec()


class RawModel(Protocol):
    """A Keras model, or what is like one."""

    @property
    def variables(self) -> Sequence[Any]: ...

    def __call__(self, pictures: Any, *, training: bool) -> Mapping[str, Any]:
        """Normalised pictures, B x height x width x 3 float32 -> raw boxes B x N x 4 and scores B x N x C by name."""


def named(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The two outputs, their tensors named as the manifest says."""
    return {name: tf.identity(outputs[name], name) for name in (OUTPUTS.boxes, OUTPUTS.scores)}


def holder(model: RawModel, *functions: Any) -> Any:
    """What TensorFlow saves or converts: the functions and the variables that they read.

    Not the Keras model itself, of which every layer would be traced and saved a second time.
    """
    held = tf.Module()
    held.weights = list(model.variables)
    held.functions = list(functions)
    return held
