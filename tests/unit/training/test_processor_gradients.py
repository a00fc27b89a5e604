from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from vigie.experiment import Experiment, Hardware
from vigie.training import devices
from vigie.training.devices import BFLOAT16_GRADIENTS, set_precision
from vigie.training.network.model import build_network
from vigie.training.objective import Losses
from vigie.training.processor_gradients import FEWEST_CHANNELS, gradient_overrides
from vigie.training.step import TrainStep

ROUNDING = 2**-8
"""bfloat16 keeps eight bits."""

CONVOLUTIONS = [
    {"kernel_size": 1},
    {"kernel_size": 1, "strides": 2},
    {"kernel_size": 1, "dilation_rate": 2},
    {"kernel_size": 3, "strides": 2, "padding": "same"},
    {"kernel_size": 3, "strides": 2, "padding": "valid"},
    {"kernel_size": 3, "dilation_rate": 2, "padding": "same"},
    {"kernel_size": (1, 3), "padding": "same", "use_bias": False},
]
DEPTHWISE = [
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": (5, 3), "padding": "same"},
    {"kernel_size": 3, "padding": "same", "dilation_rate": 2},
    {"kernel_size": 3, "padding": "same", "strides": 2},
    {"kernel_size": 3, "padding": "valid"},
    {"kernel_size": 4, "padding": "same"},
    {"kernel_size": 3, "padding": "same", "depth_multiplier": 2},
]


@pytest.fixture(autouse=True)
def _one_policy() -> Any:
    yield
    tf_keras.mixed_precision.set_global_policy("float32")


class Kept:
    """In place of the optimizer: gradients are kept, and no weight changes."""

    def __init__(self, network: tf_keras.Model) -> None:
        self.variables = network.trainable_variables
        self.step = tf.Variable(0, dtype=tf.int64)
        self.gradients = [tf.Variable(tf.zeros_like(one)) for one in self.variables]

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        return loss

    def apply(self, gradients: list[tf.Tensor]) -> None:
        for kept, gradient in zip(self.gradients, gradients, strict=True):
            kept.assign(0 * kept if gradient is None else gradient)
        self.step.assign_add(1)


def one_step(network: tf_keras.Model, pictures: tf.Tensor, overrides: dict[str, str]) -> tuple[float, list[Any]]:
    def objective(outputs: Any, _labels: Any) -> Losses:
        total = tf.add_n([tf.reduce_mean(one**2) for one in tf.nest.flatten(outputs)])
        return Losses(total, total, total)

    kept = Kept(network)
    steps = TrainStep(network, objective, kept, tf.distribute.get_strategy(), gradient_overrides=overrides)
    rows = steps.several(iter(tf.data.Dataset.from_tensors((pictures, {}))), tf.constant(1))
    return float(rows[0, 1]), [one.numpy() for one in kept.gradients]


def apart(one: Any, other: Any) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))


def detector() -> tf_keras.Model:
    experiment = Experiment.model_validate(
        {
            "name": "x",
            "classes": ["a", "b"],
            "model": {"input_width": 128, "input_height": 128},
            "training": {"steps": 1},
        }
    )
    tf_keras.utils.set_random_seed(1)
    return build_network(experiment)


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-4), (BFLOAT16_GRADIENTS, 4 * ROUNDING)])
def test_the_losses_are_those_of_float32_and_gradients_point_the_same_way(precision: str, most: float):
    network = detector()
    pictures = tf.random.stateless_normal((4, 128, 128, 3), seed=(1, 2))
    loss, gradients = one_step(network, pictures, {})
    other_loss, others = one_step(network, pictures, gradient_overrides(precision))
    assert other_loss == pytest.approx(loss, rel=1e-6)
    whole, of_others = (np.concatenate([one.ravel() for one in side]) for side in (gradients, others))
    assert 0 < apart(whole, of_others) < most
    cosine = whole @ of_others / np.linalg.norm(whole) / np.linalg.norm(of_others)
    assert cosine > 1 - most**2


@pytest.mark.parametrize(
    "layer",
    [
        *(tf_keras.layers.Conv2D(48, **options) for options in CONVOLUTIONS),
        *(tf_keras.layers.DepthwiseConv2D(**options) for options in DEPTHWISE),
    ],
    ids=str,
)
def test_each_kind_of_convolution_has_tensorflows_gradients(layer: tf_keras.layers.Layer):
    network = tf_keras.Sequential([tf_keras.Input((11, 9, 4)), tf_keras.layers.Conv2D(6, 3, padding="same"), layer])
    pictures = tf.random.stateless_normal((3, 11, 9, 4), seed=(3, 4))
    (loss, gradients), (other_loss, others) = (
        one_step(network, pictures, overrides) for overrides in ({}, gradient_overrides("float32"))
    )
    assert other_loss == pytest.approx(loss, rel=1e-6)
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_of_convolutions_those_of_few_channels_are_not_rounded(options: dict[str, Any]):
    layers = [tf_keras.layers.Conv2D(FEWEST_CHANNELS, 3, padding="same"), tf_keras.layers.Conv2D(48, **options)]
    network = tf_keras.Sequential([tf_keras.Input((11, 9, 4)), *layers])
    pictures = tf.random.stateless_normal((3, 11, 9, 4), seed=(3, 4))
    (loss, gradients), (half_loss, half_gradients) = (
        one_step(network, pictures, overrides) for overrides in ({}, gradient_overrides(BFLOAT16_GRADIENTS))
    )
    assert half_loss == pytest.approx(loss, rel=1e-6)
    for one, other in zip(gradients, half_gradients, strict=True):
        assert apart(one, other) < 4 * ROUNDING
    of_few_channels, _, of_many, *_ = (apart(*pair) for pair in zip(gradients, half_gradients, strict=True))
    assert of_many > 1e-4
    assert of_few_channels < of_many  # only what comes from above is rounded


@pytest.mark.parametrize("size", [1, 3])
def test_gradients_are_as_exact_as_bfloat16_allows(size: int):
    """Of numbers that bfloat16 holds exactly, and few enough to be added exactly, nothing is lost."""
    pictures = tf.constant(np.random.default_rng(1).integers(-4, 5, (2, 5, 5, 32)), tf.float32)
    filters = tf.constant(np.random.default_rng(2).integers(-1, 2, (size, size, 32, 40)), tf.float32)

    @tf.function
    def gradients(overrides: dict[str, str]) -> list[tf.Tensor]:
        with tf.compat.v1.get_default_graph().gradient_override_map(overrides):
            found = tf.nn.conv2d(pictures, filters, 1, "SAME")
        return tf.gradients(found, [pictures, filters])  # type: ignore[no-any-return]

    for exact, half in zip(gradients({}), gradients(gradient_overrides(BFLOAT16_GRADIENTS)), strict=True):
        assert half.dtype == tf.float32
        np.testing.assert_array_equal(half, exact)


@pytest.mark.parametrize(("has", "chosen"), [(True, BFLOAT16_GRADIENTS), (False, "float32")])
def test_bfloat16_is_chosen_where_the_processor_multiplies_it(monkeypatch, has: bool, chosen: str):
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: has)
    assert set_precision(Hardware()) == chosen
    assert tf_keras.mixed_precision.global_policy().name == "float32"


def test_mixed_precisions_and_gpus_keep_tensorflows_own(monkeypatch):
    assert gradient_overrides("float32")
    assert gradient_overrides("mixed_bfloat16") == gradient_overrides("mixed_float16") == {}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: ["/physical_device:GPU:0"])
    assert gradient_overrides("float32") == {}
