"""The steps of a training: pictures in, losses out, the network's weights and the optimizer's state changed."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import tensorflow as tf
import tf_keras

Batch = tuple[Any, Mapping[str, Any]]
"""Normalised pictures B x height x width x 3, and the labels of their anchors; see `vigie.training.inputs`."""


class TrainStep:
    """Steps within the graph: leaving it after each costs more than some models' own work.

    `optimizer` has `variables`, in which order gradients come, `scaled(loss)` and `apply(gradients)`, which is called
    in each replica and adds the replicas' gradients up. `gradient_overrides` are those of operations, as
    `vigie.training.processor_gradients` gives them.
    """

    def __init__(
        self,
        network: tf_keras.Model,
        objective: Callable[[Any, Mapping[str, Any]], Any],
        optimizer: Any,
        strategy: tf.distribute.Strategy,
        *,
        gradient_overrides: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._network = network
        self._objective = objective
        self._optimizer = optimizer
        self._strategy = strategy
        self._gradient_overrides = dict(gradient_overrides)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def several(self, batches: Iterator[Batch], count: tf.Tensor) -> tf.Tensor:
        """The next `count` steps, an int32 scalar; returns [count, 4]: step, total, class and box loss.

        The losses are those before the step's update; step 2**24 is the last that float32 holds exactly.
        """
        rows = tf.TensorArray(tf.float32, size=count, element_shape=(4,))
        for at in tf.range(count):
            of_replicas = self._strategy.run(self._one, args=(next(batches),))
            losses = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, of_replicas, axis=None)
            step = tf.cast(self._optimizer.step, tf.float32)
            rows = rows.write(at, tf.concat([step[None], losses], axis=0))
        return rows.stack()

    def _one(self, batch: Batch) -> tf.Tensor:
        images, labels = batch
        with tf.compat.v1.get_default_graph().gradient_override_map(self._gradient_overrides):
            losses = self._objective(self._network(images, training=True), labels)
        # Replicas' gradients are added, and each has the mean over its own share.
        shared = self._optimizer.scaled(losses.total / self._strategy.num_replicas_in_sync)
        # Not a tape: it takes no notice of overridden gradients.
        variables = [variable.handle for variable in self._optimizer.variables]
        self._optimizer.apply(tf.gradients(shared, variables))
        return tf.stack([losses.total, losses.classification, losses.box])
