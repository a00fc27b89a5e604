"""The labels of a picture's anchors: what the network should say at each, and how much it counts."""

from typing import Any, TypeAlias

import tensorflow as tf

from vigie.anchors import Boxes
from vigie.experiment import Assignment, ModelSpec
from vigie.training.assignment import BACKGROUND, IGNORED, AnchorGrid, by_atss, by_iou
from vigie.training.box_geometry import encoded

Labels: TypeAlias = dict[str, Any]
"""As Model Garden's RetinaNet has them. By level, "3" and so on: `cls_targets` int64 [rows, columns, anchors a cell],
class ids, -1 where there is no object, and `box_targets` float32 [rows, columns, anchors a cell * 4], codes, 0 where
there is no object. For all anchors in one: `cls_weights` and `box_weights` float32 [anchors].
"""


class Labeller:
    """Labels pictures of a model's input size."""

    def __init__(self, model: ModelSpec, assignment: Assignment) -> None:
        self.input_size = (model.input_height, model.input_width)
        self._grid = AnchorGrid(model)
        self._assignment = assignment

    @property
    def anchors(self) -> Boxes:
        """All of the model's, in the order of `vigie.anchors`."""
        return self._grid.anchors

    def __call__(self, boxes_yxyx_px: tf.Tensor, class_ids: tf.Tensor) -> Labels:
        """`boxes_yxyx_px` float32 [n, 4] in pixels of the input, `class_ids` int64 [n] from 1; n may be 0."""
        anchors = self._grid.anchors
        assigned = tf.cond(
            tf.shape(boxes_yxyx_px)[0] > 0,
            lambda: self.assigned(boxes_yxyx_px),
            lambda: tf.fill([len(anchors)], BACKGROUND),
        )
        positive = tf.where(assigned >= 0)
        objects = tf.gather(assigned, positive[:, 0])
        codes = encoded(tf.gather(boxes_yxyx_px, objects), tf.gather(anchors, positive[:, 0]))
        background = tf.fill([len(anchors)], tf.constant(-1, tf.int64))
        return {
            "cls_targets": self._by_level(
                tf.tensor_scatter_nd_update(background, positive, tf.gather(tf.cast(class_ids, tf.int64), objects))
            ),
            "box_targets": self._by_level(tf.scatter_nd(positive, codes, tf.constant(anchors.shape, tf.int64))),
            "cls_weights": tf.cast(assigned != IGNORED, tf.float32),
            "box_weights": tf.cast(assigned >= 0, tf.float32),
        }

    def assigned(self, boxes: tf.Tensor) -> tf.Tensor:
        """Which of at least one box each anchor answers for; see `vigie.training.assignment`."""
        rule = self._assignment
        if rule.method == "atss":
            return by_atss(self._grid, boxes, rule.atss_candidates)
        return by_iou(self._grid, boxes, rule.positive_iou, rule.negative_iou)

    def _by_level(self, of_anchors: tf.Tensor) -> dict[str, tf.Tensor]:
        levels = self._grid.levels
        parts = tf.split(of_anchors, [level.cells * level.shapes for level in levels])
        return {
            level.name: tf.reshape(part, (*level.boxes.shape[:2], -1))
            for level, part in zip(levels, parts, strict=True)
        }
