import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from official.modeling import optimization
from tiny_network import TinyNetwork, tiny_network

from vigie.experiment import Experiment, Schedule
from vigie.training.network.model import build_network
from vigie.training.optimizing import Optimizer

Weights = dict[str, npt.NDArray[np.float32]]


TESTS = Path(__file__).parents[2]


def schedule(**values: Any) -> Schedule:
    return Schedule.model_validate({"steps": 100, "warmup_steps": 0, "learning_rate": 0.01, **values})


def values_of(network: TinyNetwork) -> Weights:
    return {variable.name: variable.numpy() for variable in network.variables}


def moved(before: Weights, after: Weights) -> set[str]:
    return {name for name, value in before.items() if not np.array_equal(value, after[name])}


def gradients_of(network: TinyNetwork, optimizer: Optimizer, seed: int = 5) -> list[tf.Tensor | None]:
    images = tf.random.stateless_normal((4, 8, 8, 3), (seed, seed))
    with tf.GradientTape() as tape:
        outputs = network(images, training=True)
        loss = sum(tf.reduce_mean((level - 1) ** 2) for head in outputs.values() for level in head.values())
    return tape.gradient(loss, optimizer.variables)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("steps", "warmup"), [(1500, 100), (40, 100), (7, 3), (3, 3), (100, 0)])
def test_the_rate_is_model_gardens_warm_up_and_cosine(steps: int, warmup: int) -> None:
    config: dict[str, Any] = {
        "optimizer": {"type": "adam", "adam": {}},
        "learning_rate": {"type": "cosine", "cosine": {"initial_learning_rate": 0.003, "decay_steps": steps}},
    }
    warm = min(warmup, steps // 4)
    if warm:
        config["warmup"] = {"type": "linear", "linear": {"warmup_steps": warm, "warmup_learning_rate": 0.0003}}
    theirs = optimization.OptimizerFactory(optimization.OptimizationConfig(config)).build_learning_rate()
    ours = Optimizer(tiny_network(), schedule(steps=steps, warmup_steps=warmup, learning_rate=0.003))
    for step in {*range(0, steps, max(1, steps // 20)), warm, steps - 1, steps}:
        ours.step.assign(step)
        assert ours.learning_rate.numpy() == theirs(step).numpy()


def test_an_adam_step_moves_each_part_by_its_own_rate() -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule(rates={"backbone": 0.1, "head": 2}))
    before = values_of(network)
    optimizer.apply([tf.ones_like(variable) for variable in optimizer.variables])
    after = values_of(network)
    for part, rate in ((network.backbone, 0.001), (network.decoder, 0.01), (network.head, 0.02)):
        for variable in part.trainable_variables:
            if not variable.name.startswith("unused"):
                # Adam's first step is as long as its rate, whatever the gradient.
                assert before[variable.name] - after[variable.name] == pytest.approx(rate, rel=1e-3), variable.name
    assert optimizer.step.numpy() == 1


def test_layers_that_nothing_uses_do_not_learn() -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule())
    names = [variable.name for variable in optimizer.variables]
    assert [variable.name for variable in network.trainable_variables if variable.name not in names] == [
        "unused/kernel:0",
        "unused/bias:0",
    ]
    assert all(gradient is not None for gradient in gradients_of(network, optimizer))


def test_a_variable_without_a_gradient_stays_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule())
    before = values_of(network)
    optimizer.apply([None, *(tf.ones_like(variable) for variable in optimizer.variables[1:])])
    assert moved(before, values_of(network)) == {variable.name for variable in optimizer.variables[1:]}
    assert not caplog.records


def test_frozen_parts_keep_weights_and_statistics() -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule(frozen=("backbone",), ema_decay=0.9))
    before = values_of(network)
    optimizer.apply(gradients_of(network, optimizer))
    statistics = {"head_norm/moving_mean:0", "head_norm/moving_variance:0"}
    assert moved(before, values_of(network)) == {variable.name for variable in optimizer.variables} | statistics
    names = {variable.name for variable in optimizer.variables}
    assert not names & {variable.name for variable in network.backbone.variables}
    averages = tf.train.TrackableView(optimizer).children(optimizer)["_averages"]
    assert {average.name.removeprefix("average/") for average in averages} == names | statistics


def test_gradients_are_clipped_by_the_norm_of_all() -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule(optimizer="sgd", clip_norm=0.5))
    before = values_of(network)
    optimizer.apply([tf.fill(variable.shape, 3.0) for variable in optimizer.variables])
    after = values_of(network)
    length = np.sqrt(sum(((before[name] - after[name]) ** 2).sum() for name in before))
    # Nesterov's first step is 1 + momentum as long as the gradient.
    assert length == pytest.approx(0.01 * 1.9 * 0.5, rel=1e-4)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_only_kernels_that_are_not_depthwise_decay(kind: str) -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule(optimizer=kind, weight_decay=0.5, rates={"head": 0.1}))
    before = values_of(network)
    optimizer.apply([tf.zeros_like(variable) for variable in optimizer.variables])
    after = values_of(network)
    decayed = {
        "stem/kernel:0": 0.01,
        "lateral_2/pointwise_kernel:0": 0.01,
        "lateral_3/pointwise_kernel:0": 0.01,
        "classes/kernel:0": 0.001,
        "boxes/kernel:0": 0.001,
    }
    assert moved(before, after) == decayed.keys()
    for name, rate in decayed.items():
        assert after[name] == pytest.approx(before[name] * (1 - 0.5 * rate), rel=1e-6)


def test_averages_follow_weights_and_statistics_and_are_swapped_back() -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule(ema_decay=0.25))
    expected = values_of(network)
    for step in range(1, 6):
        optimizer.apply(gradients_of(network, optimizer, seed=step))
        decay = min(0.25, (1 + step) / (10 + step))
        now = values_of(network)
        for name in expected:
            expected[name] = decay * expected[name] + (1 - decay) * now[name]
    own = values_of(network)
    with optimizer.averaged():
        for name, value in values_of(network).items():
            assert value == pytest.approx(expected[name], abs=1e-6), name
            assert name.startswith("unused") or not np.array_equal(value, own[name]), name
    assert not moved(own, values_of(network))


def test_own_weights_come_back_after_an_exception() -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule(ema_decay=0.9))
    optimizer.apply(gradients_of(network, optimizer))
    own = values_of(network)
    with pytest.raises(OSError, match="no space left"), optimizer.averaged():
        raise OSError("no space left")
    assert not moved(own, values_of(network))


def test_without_averages_the_network_keeps_its_weights() -> None:
    network = tiny_network()
    optimizer = Optimizer(network, schedule())
    optimizer.apply(gradients_of(network, optimizer))
    own = values_of(network)
    with optimizer.averaged():
        assert not moved(own, values_of(network))


def test_half_the_rate_factor_is_half_the_step() -> None:
    steps = []
    for factor in (1.0, 0.5):
        network = tiny_network()
        optimizer = Optimizer(network, schedule())
        optimizer.rate_factor.assign(factor)
        before = values_of(network)
        optimizer.apply([tf.ones_like(variable) for variable in optimizer.variables])
        steps.append({name: before[name] - value for name, value in values_of(network).items()})
        assert optimizer.rate_factor.numpy() == factor
    for name, whole in steps[0].items():
        assert steps[1][name] == pytest.approx(whole / 2, abs=1e-7), name


def test_the_detectors_parts_freeze_with_their_batch_norm() -> None:
    model = {"input_width": 64, "input_height": 64, "backbone_width": 0.35, "fpn_filters": 16, "head_convs": 1}
    levels = {"anchors": {"min_level": 3, "max_level": 4}}
    experiment = Experiment.model_validate(
        {"name": "small", "classes": ["a"], "model": {**model, **levels}, "training": {"steps": 8}}
    )
    network = build_network(experiment)
    images = tf.random.stateless_normal((2, 64, 64, 3), (1, 2))
    # The pyramid has two levels, so the backbone's last blocks have nothing to learn from.
    learning = {variable.name for variable in Optimizer(network, schedule()).variables}
    assert {v.name for v in network.trainable_variables if v.name not in learning} == {
        v.name for block in network.backbone.layers[-8:] for v in block.trainable_variables
    }
    optimizer = Optimizer(network, schedule(frozen=("backbone", "head")))
    with tf.GradientTape() as tape:
        outputs = network(images, training=True)
        loss = sum(tf.reduce_mean(outputs[key][level] ** 2) for key in ("cls_outputs", "box_outputs") for level in "34")
    gradients = tape.gradient(loss, optimizer.variables)
    assert all(gradient is not None for gradient in gradients)
    assert [v.name for v in optimizer.variables] == [v.name for v in network.decoder.trainable_variables]
    before = values_of(network)
    for part, learns in ((network.backbone, False), (network.decoder, True), (network.head, False)):
        names = {variable.name for variable in part.non_trainable_variables if "moving" in variable.name}
        network(images, training=True)
        assert bool(names & moved(before, values_of(network))) is learns, part.name


@pytest.fixture(scope="module")
def on_devices() -> dict[str, Any]:
    """What `steps_on_devices` finds; TensorFlow's devices and threads are chosen once a process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])}
    command = [sys.executable, str(TESTS / "steps_on_devices.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_training_that_goes_on_from_a_checkpoint_is_the_uncut_one_bit_for_bit(on_devices: dict[str, Any]) -> None:
    found = on_devices["resumed_on_one"]
    assert found["steps"] == 40
    assert found["moved"] > 50
    assert found["differ"] == {}


def test_on_two_devices_in_float16_too_but_for_the_rounding_of_statistics(on_devices: dict[str, Any]) -> None:
    found = on_devices["resumed_on_two"]
    assert (found["steps"], found["moved"] > 50) == (40, True)
    # A checkpoint holds the mean of what the replicas' batch norms saw.
    assert all("/moving_" in name or "/_averages/" in name for name in found["differ"])
    assert max(found["differ"].values(), default=0) < 1e-6


def test_two_devices_learn_what_one_does_from_the_whole_batch(on_devices: dict[str, Any]) -> None:
    assert on_devices["difference"] < 1e-6


def test_every_device_gets_its_own_statistics_back(on_devices: dict[str, Any]) -> None:
    found = on_devices["averaged_on_two"]
    assert found["back"] is True
    assert found["swapped"] > found["of"] / 2


def test_a_step_that_overflows_float16_changes_nothing_and_halves_the_scale(on_devices: dict[str, Any]) -> None:
    found = on_devices["overflow_on_two"]
    assert found == {"scale": [32768.0, 16384.0], "step": 41, "moved": 0}
