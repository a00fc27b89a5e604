"""What a training minimises: how wrong the network's raw outputs are about the labels of its anchors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras
from official.vision.losses.loss_utils import multi_level_flatten

from vigie.anchors import anchors_yxyx_px
from vigie.experiment import Experiment
from vigie.training.box_geometry import decoded, diou, giou, iou

_EACH = tf_keras.losses.Reduction.NONE


class Losses(NamedTuple):
    """Float32 scalars; `total` is classification + box_weight * box."""

    total: tf.Tensor
    classification: tf.Tensor
    box: tf.Tensor


class _Positives(NamedTuple):
    """The anchors of a batch that answer for an object: where they are, [p, 2], and what they say and should say."""

    where: tf.Tensor
    weights: tf.Tensor
    codes: tf.Tensor
    target_codes: tf.Tensor
    anchors: tf.Tensor

    def boxes(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Found and true."""
        return decoded(self.codes, self.anchors), decoded(self.target_codes, self.anchors)


class Objective:
    """The losses of an experiment. Each is a sum over the anchors, divided by the number of positive ones plus one."""

    def __init__(self, experiment: Experiment) -> None:
        model = experiment.model
        self._loss = experiment.loss
        self._columns = len(experiment.classes) + 1  # column 0 is background
        self._anchors = anchors_yxyx_px(model.grid, model.input_width, model.input_height)
        self._huber = tf_keras.losses.Huber(self._loss.huber_delta, reduction=_EACH)

    def __call__(self, outputs: Mapping[str, Any], labels: Mapping[str, Any]) -> Losses:
        """`outputs` are the network's, of any precision; `labels` a batch of those of `vigie.training.labelling`."""
        logits = tf.cast(multi_level_flatten(outputs["cls_outputs"], last_dim=self._columns), tf.float32)
        codes = tf.cast(multi_level_flatten(outputs["box_outputs"], last_dim=4), tf.float32)
        positives = self._positives(codes, labels)
        normaliser = tf.reduce_sum(labels["box_weights"]) + 1.0
        classes = multi_level_flatten(labels["cls_targets"])
        classification = self._classification(logits, classes, labels["cls_weights"], positives) / normaliser
        box = tf.reduce_sum(self._box(positives) * positives.weights) / normaliser
        return Losses(classification + self._loss.box_weight * box, classification, box)

    def _positives(self, codes: tf.Tensor, labels: Mapping[str, Any]) -> _Positives:
        # The rest is nearly all, and its boxes mean nothing.
        where = tf.where(labels["box_weights"] > 0)
        return _Positives(
            where=where,
            weights=tf.gather_nd(labels["box_weights"], where),
            codes=tf.gather_nd(codes, where),
            target_codes=tf.gather_nd(multi_level_flatten(labels["box_targets"], last_dim=4), where),
            anchors=tf.gather(self._anchors, where[:, 1]),
        )

    def _classification(
        self, logits: tf.Tensor, classes: tf.Tensor, weights: tf.Tensor, positives: _Positives
    ) -> tf.Tensor:
        """Of all anchors, whose `weights` are [batch, anchors]."""
        column = tf.cast(tf.gather_nd(classes, positives.where), tf.int64)
        at = tf.concat([positives.where, column[:, None]], axis=1)
        if self._loss.classification == "focal":
            return self._focal(logits, at, weights, tf.gather_nd(weights, positives.where))
        quality = tf.stop_gradient(iou(*positives.boxes()))
        targets = tf.scatter_nd(at, quality, tf.shape(logits, out_type=tf.int64))
        losses = varifocal(targets, logits, self._loss.varifocal_alpha, self._loss.varifocal_gamma)
        return tf.reduce_sum(losses * weights[..., None])

    def _focal(self, logits: tf.Tensor, at: tf.Tensor, weights: tf.Tensor, weights_at: tf.Tensor) -> tf.Tensor:
        """Focal loss (Lin et al. 2017, arXiv:1708.02002): the logits `at` [p, 3] should say yes, all others no."""
        alpha, gamma = self._loss.focal_alpha, self._loss.focal_gamma
        of_all = tf.broadcast_to(weights[..., None], tf.shape(logits))
        of_no = tf.tensor_scatter_nd_update(of_all, at, tf.zeros_like(weights_at))
        no = tf.reduce_sum(focal(logits, gamma) * of_no)
        yes = tf.reduce_sum(focal(-tf.gather_nd(logits, at), gamma) * weights_at)
        return alpha * yes + (1 - alpha) * no

    def _box(self, positives: _Positives) -> tf.Tensor:
        """Of each positive anchor, [p]."""
        if self._loss.box == "huber":
            return self._huber(positives.target_codes, positives.codes)
        overlap = giou if self._loss.box == "giou" else diou
        return 1.0 - overlap(*positives.boxes())


def focal(logits: tf.Tensor, gamma: float) -> tf.Tensor:
    """p ** gamma * -log(1 - p) of the probabilities p: the focal loss where the answer is no, element by element.

    Its gradient is written out: it stands on each of some hundred thousand logits a step, and is half the operations.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def with_gradient(logits: tf.Tensor) -> tuple[tf.Tensor, Any]:
        probability = tf.sigmoid(logits)
        surprise = tf.nn.softplus(logits)
        modulator = tf.square(probability) if gamma == 2 else tf.exp(gamma * tf.math.log_sigmoid(logits))

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return upstream * modulator * (gamma * (1 - probability) * surprise + probability)

        return modulator * surprise, gradient

    return with_gradient(logits)


def varifocal(targets: tf.Tensor, logits: tf.Tensor, alpha: float, gamma: float) -> tf.Tensor:
    """Varifocal loss (Zhang et al. 2021, arXiv:2008.13367, equation 2), element by element.

    `targets` are 0 for what is no object, else the IoU of the box that was found with the object's, from which no
    gradient should come: the better the box, the surer the network should be and the more it counts. With p the
    probability: q * cross entropy(q, p) where the target q > 0, else alpha * p ** gamma * -log(1 - p).
    """
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
    # pow(p, gamma) has no finite gradient where p is 0 and gamma under 1.
    unsure = alpha * tf.exp(gamma * tf.math.log_sigmoid(logits))
    return tf.where(targets > 0, targets, unsure) * cross_entropy
