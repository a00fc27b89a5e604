"""Trains the tiny network on one thread; devices are configured once a process, so tests run this as one of their own.

Writes one line of JSON: what each test asserts on.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tiny_network import TinyNetwork, tiny_network

from vigie.experiment import Schedule
from vigie.training.optimizing import Optimizer

BATCH = 4


class Training:
    def __init__(self, strategy: tf.distribute.Strategy, **values: Any) -> None:
        self.strategy = strategy
        with strategy.scope():
            self.network: TinyNetwork = tiny_network()
            self.optimizer = Optimizer(
                self.network, Schedule.model_validate({"steps": 40, "batch": BATCH, "learning_rate": 0.01, **values})
            )
        self.checkpoint = tf.train.Checkpoint(model=self.network, optimizer=self.optimizer)
        self._loop = tf.function(self._steps)

    def run(self, steps: int) -> None:
        """In calls of four steps, the loop in the graph."""
        for _ in range(steps // 4):
            self._loop(tf.constant(4))

    def _steps(self, count: tf.Tensor) -> None:
        for _ in tf.range(count):
            self.strategy.run(self._step)

    def _step(self) -> None:
        replica = tf.distribute.get_replica_context()
        share = BATCH // self.strategy.num_replicas_in_sync
        seed = tf.stack([tf.cast(self.optimizer.step, tf.int32), 7])
        images = tf.random.stateless_normal((BATCH, 8, 8, 3), seed)
        images = tf.reshape(images, (-1, share, 8, 8, 3))[replica.replica_id_in_sync_group]
        with tf.GradientTape() as tape:
            outputs = self.network(images, training=True)
            levels = [level for head in outputs.values() for level in head.values()]
            loss = tf.add_n([tf.reduce_mean((tf.cast(level, tf.float32) - 1) ** 2) for level in levels])
            loss = self.optimizer.scaled(loss / self.strategy.num_replicas_in_sync)
        self.optimizer.apply(tape.gradient(loss, self.optimizer.variables))

    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """All that a checkpoint holds."""
        with tempfile.TemporaryDirectory() as folder:
            reader = tf.train.load_checkpoint(self.checkpoint.write(str(Path(folder) / "state")))
            names = reader.get_variable_to_shape_map().keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
            return {name: reader.get_tensor(name) for name in names}


def resumed(strategy: tf.distribute.Strategy) -> tuple[Training, dict[str, Any]]:
    """Forty steps, and forty of which the second half is made by new objects."""
    values = {"ema_decay": 0.9, "clip_norm": 1.0, "weight_decay": 0.1, "rates": {"backbone": 0.1}, "frozen": ["fpn"]}
    whole, second = Training(strategy, **values), Training(strategy, **values)
    whole.run(20)
    whole.optimizer.rate_factor.assign(0.5)
    half = whole.state()
    with tempfile.TemporaryDirectory() as folder:
        path = whole.checkpoint.write(str(Path(folder) / "ckpt"))
        second.checkpoint.read(path).assert_consumed()
    whole.run(20)
    second.run(20)
    one, other = whole.state(), second.state()
    return second, {
        "steps": int(second.optimizer.step.numpy()),
        "moved": sum(not np.array_equal(half[name], other[name]) for name in other),
        "differ": {
            name: float(np.abs(one[name] - other[name]).max()) for name in one if np.any(one[name] != other[name])
        },
    }


def same_as_one_device(mirrored: tf.distribute.Strategy, one: tf.distribute.Strategy) -> float:
    """The largest difference of a weight; only a part without batch norm learns, which sees half a batch."""
    values = {"frozen": ["backbone", "head"], "clip_norm": 0.5, "weight_decay": 0.1, "rates": {"fpn": 2.0}}
    trainings = [Training(strategy, **values) for strategy in (mirrored, one)]
    start = [variable.numpy() for variable in trainings[0].optimizer.variables]
    for training in trainings:
        training.run(20)
    weights = [[variable.numpy() for variable in training.optimizer.variables] for training in trainings]
    assert all(np.abs(now - before).max() > 0.01 for now, before in zip(weights[0], start, strict=True))
    return max(float(np.abs(here - there).max()) for here, there in zip(*weights, strict=True))


def averaged_and_back(training: Training) -> dict[str, Any]:
    """Replicas have batch norm statistics of their own; each must get its own back."""

    def replicas() -> list[np.ndarray[Any, Any]]:
        return [
            value.numpy()
            for variable in training.network.variables
            for value in training.strategy.experimental_local_results(variable)
        ]

    before = replicas()
    with training.optimizer.averaged():
        inside = replicas()
    return {
        "swapped": sum(not np.array_equal(one, other) for one, other in zip(before, inside, strict=True)),
        "back": all(np.array_equal(one, other) for one, other in zip(before, replicas(), strict=True)),
        "of": len(before),
    }


def overflowed(training: Training) -> dict[str, Any]:
    """A step whose gradients are too large for float16."""
    before = [variable.numpy() for variable in training.optimizer.variables]
    scale = float(training.optimizer.scaled(tf.constant(1.0)))

    @tf.function
    def step() -> None:
        gradients = [tf.fill(variable.shape, np.float32("inf")) for variable in training.optimizer.variables]
        training.strategy.run(training.optimizer.apply, (gradients,))

    step()
    return {
        "scale": [scale, float(training.optimizer.scaled(tf.constant(1.0)))],
        "step": int(training.optimizer.step.numpy()),
        "moved": sum(
            not np.array_equal(value, variable.numpy())
            for value, variable in zip(before, training.optimizer.variables, strict=True)
        ),
    }


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    one, mirrored = tf.distribute.OneDeviceStrategy("/cpu:0"), tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    found: dict[str, Any] = {"difference": same_as_one_device(mirrored, one)}
    _, found["resumed_on_one"] = resumed(one)
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    training, found["resumed_on_two"] = resumed(mirrored)
    found["averaged_on_two"], found["overflow_on_two"] = averaged_and_back(training), overflowed(training)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
