"""Balancing in the input pipeline: how often an example comes in an epoch, and how much its objects count in the loss.

The factors come from `vigie.data.balance`.
"""

from typing import Any

import tensorflow as tf

_LABELS = "image/object/class/label"


def by_class_id(factors: list[float]) -> tf.Tensor:
    """The factors of the classes, in their order, to be looked up by id; id 0, background, has the factor 1."""
    return tf.constant([1.0, *factors], tf.float32)


def repeats(serialised: tf.Tensor, factors: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """How often this epoch shows an example: LVIS's factor of its rarest class, a fraction of it by chance.

    `seed` is that of the example in this epoch.
    """
    ids = class_ids(serialised)
    factor = tf.reduce_max(tf.concat([[1.0], tf.gather(factors, ids)], axis=0))
    extra = tf.random.stateless_uniform([], seed) < factor - tf.floor(factor)
    return tf.cast(tf.floor(factor), tf.int64) + tf.cast(extra, tf.int64)


def class_ids(serialised: tf.Tensor) -> tf.Tensor:
    """Of the objects on an example whose picture stays encoded, int64 [n]."""
    return tf.io.parse_single_example(serialised, {_LABELS: tf.io.VarLenFeature(tf.int64)})[_LABELS].values


def weighted(labels: dict[str, Any], weights: tf.Tensor) -> dict[str, Any]:
    """The labels of one picture with the weight of its class at each anchor that stands for an object.

    The weight is on the classification alone, on all of the anchor's sigmoids. Where a box lies does not depend on its
    class here, one regression serves all; and the sum of the box weights is the number of objects' anchors that Model
    Garden divides both losses by.
    """
    ids = tf.concat([tf.reshape(level, [-1]) for level in labels["cls_targets"].values()], axis=0)
    of_anchor = tf.gather(weights, tf.cast(tf.maximum(ids, 0), tf.int64))  # -1 is an anchor without an object
    return {**labels, "cls_weights": labels["cls_weights"] * of_anchor}
