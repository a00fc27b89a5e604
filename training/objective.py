"""What a training minimises: how wrong the network's raw outputs are about the labels of its anchors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras
from official.vision.losses.focal_loss import FocalLoss
from official.vision.losses.loss_utils import multi_level_flatten

from vigie.experiment import Experiment

_SUM = tf_keras.losses.Reduction.SUM


class Losses(NamedTuple):
    """Float32 scalars; `total` is classification + box_weight * box."""

    total: tf.Tensor
    classification: tf.Tensor
    box: tf.Tensor


class Objective:
    """The losses of an experiment. Both are sums over the anchors divided by the number of positive ones plus one."""

    def __init__(self, experiment: Experiment) -> None:
        loss = experiment.loss
        self._columns = len(experiment.classes) + 1  # column 0 is background
        self._box_weight = loss.box_weight
        self._classification = FocalLoss(loss.focal_alpha, loss.focal_gamma, reduction=_SUM)
        self._box = tf_keras.losses.Huber(loss.huber_delta, reduction=_SUM)

    def __call__(self, outputs: Mapping[str, Any], labels: Mapping[str, Any]) -> Losses:
        """`outputs` are the network's, of any precision; `labels` those of the batch, see `vigie.training.inputs`."""
        logits = tf.cast(multi_level_flatten(outputs["cls_outputs"], last_dim=self._columns), tf.float32)
        codes = tf.cast(multi_level_flatten(outputs["box_outputs"], last_dim=4), tf.float32)
        positives = tf.reduce_sum(labels["box_weights"]) + 1.0
        classes = tf.one_hot(multi_level_flatten(labels["cls_targets"]), self._columns)
        classification = self._classification(classes, logits, sample_weight=labels["cls_weights"] / positives)
        targets = multi_level_flatten(labels["box_targets"], last_dim=4)
        box = self._box(targets, codes, sample_weight=labels["box_weights"] / positives)
        return Losses(classification + self._box_weight * box, classification, box)
