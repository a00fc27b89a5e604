"""From the raw heads of an SSD to detections: decode against the anchors, class-aware non-maximum suppression.

The one implementation for the checkpoint, every exported file and every runtime.
Box coding after Ren et al. 2015 (arXiv:1506.01497), with Model Garden's weights and clip.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vigie.anchors import Boxes
from vigie.domain import Box, Detection
from vigie.resizing import InputSize, Resize

Scores: TypeAlias = npt.NDArray[np.float32]
"""N x C: probability of each class at each anchor, background left out."""

LARGEST_LOG_SIZE = math.log(1000 / 16)
"""exp() of a larger raw size would overflow; Model Garden's BBOX_XFORM_CLIP."""

BoxCoding: TypeAlias = Literal["centre_size", "corners"]
"""After Ren et al., or offsets of the corners in sizes of the anchor, which know no weights."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """How raw outputs become detections.

    `score_threshold` holds for labels that `thresholds` does not name; boxes of one label that overlap
    by more than `nms_iou` are one object; at most `max_detections` a picture. Of each label the best
    `max_candidates` boxes are looked at, so that a model that knows nothing yet takes no longer than a good one.
    """

    labels: tuple[str, ...]
    input_width: int
    input_height: int
    anchors: Boxes
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    score_threshold: float = 0.5
    thresholds: Mapping[str, float] = field(default_factory=dict)
    nms_iou: float = 0.5
    max_detections: int = 100
    max_candidates: int = 1000
    resize: Resize = "stretch"
    coding: BoxCoding = "centre_size"

    @property
    def input_size(self) -> InputSize:
        return InputSize(self.input_width, self.input_height, self.resize)

    def decode(self, raw_boxes: Boxes, scores: Scores, *, width: int, height: int) -> list[Detection]:
        """`raw_boxes` N x 4 (dy, dx, dh, dw), `scores` N x C; boxes in pixels of the `width` x `height` picture.

        Best first. Boxes are clipped to the picture; those without an area in it are dropped.
        """
        place = self.input_size.placement(width, height)
        found: list[tuple[Boxes, Scores, npt.NDArray[np.int64]]] = []
        for column, label in enumerate(self.labels):
            threshold = self.thresholds.get(label, self.score_threshold)
            chosen = np.flatnonzero(scores[:, column] >= threshold)
            if chosen.size > self.max_candidates:
                chosen = chosen[np.argsort(-scores[chosen, column], kind="stable")[: self.max_candidates]]
            if chosen.size:
                boxes = place.in_picture(self._boxes(raw_boxes[chosen], self.anchors[chosen]))
                found.append((boxes, scores[chosen, column], np.full(chosen.size, column)))
        if not found:
            return []
        boxes, best, classes = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return detections_of(
            boxes, best, classes, self.labels, nms_iou=self.nms_iou, max_detections=self.max_detections
        )

    def boxes_px(self, raw_boxes: Boxes) -> Boxes:
        """All of them, N x 4 (top, left, bottom, right) in pixels of the input, clipped to it."""
        high = np.array([self.input_height, self.input_width] * 2, np.float32)
        return np.clip(self._boxes(raw_boxes, self.anchors), 0, high)

    def _boxes(self, raw: Boxes, anchors: Boxes) -> Boxes:
        """Top, left, bottom, right in pixels of the input."""
        size = anchors[:, 2:] - anchors[:, :2]
        if self.coding == "corners":
            return np.asarray(anchors + raw * np.tile(size, 2), np.float32)
        centre = anchors[:, :2] + size / 2
        weights = np.asarray(self.box_weights, np.float32)
        centre = centre + raw[:, :2] / weights[:2] * size
        half = np.exp(np.minimum(raw[:, 2:] / weights[2:], LARGEST_LOG_SIZE)) * size / 2
        return np.concatenate([centre - half, centre + half], axis=1, dtype=np.float32)


def detections_of(
    boxes: Boxes,
    scores: npt.NDArray[np.float32],
    classes: npt.NDArray[np.int64],
    labels: Sequence[str | None],
    *,
    nms_iou: float | None,
    max_detections: int,
) -> list[Detection]:
    """The best first, each class by itself thinned out by `nms_iou` where that is given.

    `boxes` N x 4 (top, left, bottom, right) in pixels of the picture; those without an area are dropped.
    `classes` are rows of `labels`; of a class without a label nothing is given.
    """
    real = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    boxes, scores, classes = boxes[real], scores[real], classes[real]
    found: list[Detection] = []
    for column in np.unique(classes):
        label = labels[column]
        if label is None:
            continue
        own = np.flatnonzero(classes == column)
        if nms_iou is not None:
            own = own[list(non_maximum_suppression(boxes[own], scores[own], nms_iou))]
        found += [
            Detection(label, min(float(scores[i]), 1.0), Box(*(float(edge) for edge in boxes[i][[1, 0, 3, 2]])))
            for i in own
        ]
    found.sort(key=lambda detection: -detection.score)
    return found[:max_detections]


def non_maximum_suppression(boxes: Boxes, scores: npt.NDArray[np.float32], iou: float) -> Sequence[int]:
    """Indices of the boxes that stay, best first (greedy)."""
    if len(boxes) == 0:
        return []
    sides = np.concatenate([boxes[:, 1::-1], (boxes[:, 2:] - boxes[:, :2])[:, ::-1]], axis=1)  # x, y, width, height
    return [int(i) for i in cv2.dnn.NMSBoxes(sides.astype(np.float64).tolist(), scores.tolist(), 0.0, iou)]
