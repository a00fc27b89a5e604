from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from vigie.experiment import Experiment
from vigie.training.network.folded_norm import fold_norms, moments
from vigie.training.network.model import build_network


def detector() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(1)
    return build_network(
        Experiment.model_validate(
            {
                "name": "x",
                "classes": ["a", "b"],
                "model": {"input_width": 128, "input_height": 96},
                "training": {"steps": 1},
            }
        )
    )


def expanding(*, first: tf_keras.layers.Layer | None = None, out: int = 24) -> tf_keras.Model:
    """Pictures of 6 channels, or what `first` makes of them, expanded, normed and squared."""
    tf_keras.utils.set_random_seed(2)
    network = tf_keras.Sequential(
        [
            tf_keras.Input((7, 5, 6)),
            *([] if first is None else [first]),
            tf_keras.layers.Conv2D(out, 1, use_bias=False),
            tf_keras.layers.BatchNormalization(momentum=0.9, name="norm"),
            tf_keras.layers.Activation(tf.nn.relu6),
        ]
    )
    norm = network.get_layer("norm")
    norm.gamma.assign(tf.random.stateless_uniform((out,), (1, 2), 0.5, 2.0))
    norm.beta.assign(tf.random.stateless_normal((out,), (3, 4)))
    return network


def trained(network: tf_keras.Model, pictures: tf.Tensor) -> tuple[list[Any], list[Any], list[Any]]:
    """Outputs in training, gradients, and what batch norms keep after it."""

    @tf.function
    def run() -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        outputs = tf.nest.flatten(network(pictures, training=True))
        loss = tf.add_n([tf.reduce_mean(one**2) + tf.reduce_mean(one**3) for one in outputs])
        variables = [variable.handle for variable in network.trainable_variables]
        gradients = tf.gradients(loss, variables)
        return outputs, [one for one in gradients if one is not None]

    outputs, gradients = run()
    return (
        [one.numpy() for one in outputs],
        [one.numpy() for one in gradients],
        [one.numpy() for one in network.non_trainable_variables],
    )


def operations(network: tf_keras.Model, pictures: tf.Tensor) -> list[str]:
    graph = tf.function(lambda: network(pictures, training=True)).get_concrete_function().graph
    return [operation.type for operation in graph.get_operations()]


def test_the_detector_learns_as_exactly_as_without():
    """Float32 is no exact measure: of its gradients a hundredth is rounding, with and without."""
    pictures = tf.random.stateless_normal((4, 96, 128, 3), (1, 2))
    plain, folded = detector(), detector()
    fold_norms(folded)
    weights = plain.get_weights()
    sides = trained(plain, pictures), trained(folded, pictures)
    exact = in_float64(pictures, weights)
    for at, most in ((0, 1e-6), (1, 0.05)):
        by_plain, by_folded = (apart(exact[at], side[at]) for side in sides)
        assert by_plain < most
        assert by_folded < 2 * by_plain
    for one, other in zip(sides[0][2], sides[1][2], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


def in_float64(pictures: tf.Tensor, weights: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    tf_keras.backend.set_floatx("float64")
    tf_keras.mixed_precision.set_global_policy("float64")
    try:
        network = detector()
        network.set_weights(weights)
        return trained(network, tf.cast(pictures, tf.float64))
    finally:
        tf_keras.backend.set_floatx("float32")
        tf_keras.mixed_precision.set_global_policy("float32")


def apart(exact: list[Any], found: list[Any]) -> float:
    one, other = (np.concatenate([values.ravel() for values in side]).astype(np.float64) for side in (exact, found))
    return float(np.linalg.norm(other - one) / np.linalg.norm(one))


def test_checkpoints_stay_readable(tmp_path: Path):
    plain, folded = expanding(), expanding()
    fold_norms(folded)
    checkpoint = tf.train.Checkpoint(model=folded).write(str(tmp_path / "ckpt"))
    tf.train.Checkpoint(model=plain).read(checkpoint).assert_consumed()


def test_what_is_passed_over_is_the_norm_of_each_expansion():
    pictures = tf.zeros((1, 96, 128, 3))
    plain, folded = detector(), detector()
    fold_norms(folded)
    fewer = operations(plain, pictures).count("FusedBatchNormV3") - operations(folded, pictures).count(
        "FusedBatchNormV3"
    )
    assert fewer == 16  # MobileNetV2's blocks but the first, which does not expand


def test_outputs_statistics_and_gradients_are_those_of_batch_norm():
    pictures = tf.random.stateless_normal((5, 7, 5, 6), (1, 2)) * [1, 2, 3, 4, 5, 6] + [0, 0, 1, 2, -3, 30]
    plain, folded = expanding(), expanding()
    fold_norms(folded)
    for expected, found in zip(trained(plain, pictures), trained(folded, pictures), strict=True):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(folded(pictures), plain(pictures), rtol=1e-4, atol=1e-5)


def test_a_gradient_reaches_what_is_before():
    pictures = tf.random.stateless_normal((5, 7, 5, 6), (1, 2))
    plain, folded = (expanding(first=tf_keras.layers.Conv2D(6, 3, activation="tanh")) for _ in range(2))
    fold_norms(folded)
    for one, other in zip(trained(plain, pictures)[1], trained(folded, pictures)[1], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5)


def test_channels_that_say_nothing_do_no_harm():
    pictures = tf.ones((2, 7, 5, 6)) * 1000
    folded = expanding()
    fold_norms(folded)
    outputs, gradients, kept = trained(folded, pictures)
    assert all(np.isfinite(one).all() for one in (*outputs, *gradients, *kept))
    assert folded.get_layer("norm").moving_variance.numpy().min() >= 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"out": 11}, id="less than twice as many"),
        pytest.param({"frozen": True}, id="frozen"),
        pytest.param({"eager": True}, id="eager"),
    ],
)
def test_elsewhere_batch_norm_stays(change: dict[str, Any]):
    pictures = tf.random.stateless_normal((5, 7, 5, 6), (1, 2))
    plain, folded = (expanding(out=change.get("out", 24)) for _ in range(2))
    fold_norms(folded)
    for network in (plain, folded):
        network.get_layer("norm").trainable = not change.get("frozen", False)
    if not change.get("eager", False):
        assert operations(folded, pictures).count("FusedBatchNormV3") == 1
    np.testing.assert_array_equal(folded(pictures, training=True), plain(pictures, training=True))
    for one, other in zip(plain.non_trainable_variables, folded.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_moments_by_numpy():
    pictures = tf.random.stateless_normal((3, 4, 5, 6), (1, 2)) + 7
    rows = pictures.numpy().reshape(-1, 6).astype(np.float64)
    mean, covariance = moments(pictures)
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(rows.T, bias=True), rtol=1e-4, atol=1e-5)


def test_gradients_of_the_moments_are_their_slopes():
    pictures = tf.random.stateless_normal((2, 3, 3, 4), (1, 2))

    def both(of: tf.Tensor) -> tf.Tensor:
        mean, covariance = moments(of)
        return tf.concat([mean, tf.reshape(covariance, [-1])], axis=0)

    theory, slopes = tf.test.compute_gradient(both, [pictures], delta=1e-2)
    np.testing.assert_allclose(theory[0], slopes[0], atol=1e-4)
