"""Numbers drawn from a seed, and what is done by chance."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import tensorflow as tf

Tensors = TypeVar("Tensors")


def uniform(seed: tf.Tensor, number: int, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> tf.Tensor:
    """Float32 in [low, high). Each `number` is a stream of its own."""
    return tf.random.stateless_uniform(shape, seed=tf.random.fold_in(seed, number, alg="philox"), minval=low,
                                       maxval=high, alg="philox")  # fmt: skip


def sometimes(
    chance: float, seed: tf.Tensor, change: Callable[[], Tensors], otherwise: Callable[[], Tensors]
) -> Tensors:
    """`change()` with this chance, else `otherwise()`. At 0 and 1 the graph holds but the one of them."""
    if chance <= 0:
        return otherwise()
    if chance >= 1:
        return change()
    chosen: Tensors = tf.cond(uniform(seed, 0, []) < chance, change, otherwise)
    return chosen
