"""From the raw heads of an SSD to detections: decode against the anchors, class-aware non-maximum suppression.

The one implementation for the checkpoint, every exported file and every runtime.
Box coding after Ren et al. 2015 (arXiv:1506.01497), with Model Garden's weights and clip.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vigie.anchors import Boxes
from vigie.domain import Box, Detection
from vigie.resizing import InputSize, Resize

Scores: TypeAlias = npt.NDArray[np.float32]
"""N x C: probability of each class at each anchor, background left out."""

Rows: TypeAlias = npt.NDArray[np.int64]

_BLOCK = 64

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
    _sides: Boxes = field(init=False, repr=False)
    _centres: Boxes = field(init=False, repr=False)
    _limits: Scores = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sides = self.anchors[:, 2:] - self.anchors[:, :2]
        limits = [self.thresholds.get(label, self.score_threshold) for label in self.labels]
        # Frozen, and yet these need not be worked out for every picture.
        object.__setattr__(self, "_sides", sides)
        object.__setattr__(self, "_centres", self.anchors[:, :2] + sides / 2)
        object.__setattr__(self, "_limits", np.array(limits, np.float32))

    @property
    def input_size(self) -> InputSize:
        return InputSize(self.input_width, self.input_height, self.resize)

    def decode(self, raw_boxes: Boxes, scores: Scores, *, width: int, height: int) -> list[Detection]:
        """`raw_boxes` N x 4 (dy, dx, dh, dw), `scores` N x C; boxes in pixels of the `width` x `height` picture.

        Best first. Boxes are clipped to the picture; those without an area in it are dropped.
        """
        place = self.input_size.placement(width, height)
        rows, classes = self._candidates(scores)
        if rows.size == 0:
            return []
        return detections_of(
            place.in_picture(self._boxes(raw_boxes[rows], rows)),
            scores[rows, classes],
            classes,
            self.labels,
            nms_iou=self.nms_iou,
            max_detections=self.max_detections,
        )

    def _candidates(self, scores: Scores) -> tuple[Rows, Rows]:
        """Anchors and classes of the scores that reach their thresholds."""
        limits = self._limits
        # By the lowest of them first: to compare all with their own costs ten times as much.
        rows, classes = np.divmod(np.flatnonzero(scores.reshape(-1) >= limits.min()), len(self.labels))
        if self.thresholds:
            own = np.flatnonzero(scores[rows, classes] >= limits[classes])
            rows, classes = rows[own], classes[own]
        if rows.size > self.max_candidates:
            kept = np.concatenate([self._best(scores, rows, classes, column) for column in range(len(self.labels))])
            rows, classes = rows[kept], classes[kept]
        return rows, classes

    def _best(self, scores: Scores, rows: Rows, classes: Rows, column: int) -> Rows:
        own = np.flatnonzero(classes == column)
        if own.size <= self.max_candidates:
            return own
        return own[np.argsort(-scores[rows[own], column], kind="stable")[: self.max_candidates]]

    def boxes_px(self, raw_boxes: Boxes) -> Boxes:
        """All of them, N x 4 (top, left, bottom, right) in pixels of the input, clipped to it."""
        high = np.array([self.input_height, self.input_width] * 2, np.float32)
        return np.clip(self._boxes(raw_boxes, slice(None)), 0, high)

    def _boxes(self, raw: Boxes, rows: Rows | slice) -> Boxes:
        """Top, left, bottom, right in pixels of the input, of the anchors `rows`."""
        sides = self._sides[rows]
        if self.coding == "corners":
            return np.asarray(self.anchors[rows] + raw * np.tile(sides, 2), np.float32)
        offsets = raw / np.asarray(self.box_weights, np.float32)
        centre = self._centres[rows] + offsets[:, :2] * sides
        half = np.exp(np.minimum(offsets[:, 2:], LARGEST_LOG_SIZE)) * sides / 2
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
    order = real[np.argsort(-scores[real], kind="stable")]
    if nms_iou is not None:
        order = order[non_maximum_suppression(boxes[order], classes[order], nms_iou, max_detections)]
    return [
        Detection(label, min(score, 1.0), Box(left, top, right, bottom))
        for (top, left, bottom, right), score, at in zip(
            boxes[order].tolist(), scores[order].tolist(), classes[order].tolist(), strict=True
        )
        if (label := labels[at]) is not None
    ][:max_detections]


def non_maximum_suppression(boxes: Boxes, classes: Rows, iou: float, most: int) -> Rows:
    """Places of the `most` first boxes that stay, of `boxes` whose best come first (greedy).

    A box goes where one of its class that stays shares more than `iou` with it. Done by blocks: what stays so far
    against a block at once, then within it, so that it ends when `most` are found, however many there are.
    """
    edges = boxes.T.astype(np.float64)  # edge by edge: a last axis of 4 costs several times as much
    kept = np.empty(0, np.int64)
    for start in range(0, len(boxes), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(boxes)))
        if kept.size:
            block = block[~_overlaps(edges, classes, block, kept, iou).any(axis=1)]
        overlaps = _overlaps(edges, classes, block, block, iou)
        np.fill_diagonal(overlaps, False)
        alive = np.ones(block.size, bool)
        # One that stays overlaps none before it that stays: those it drops come behind it.
        for place in np.flatnonzero(overlaps.any(axis=1)).tolist():
            if alive[place]:
                alive &= ~overlaps[place]
        kept = np.concatenate([kept, block[alive]])
        if kept.size >= most:
            break
    return kept[:most]


def _overlaps(
    edges: npt.NDArray[np.float64], classes: Rows, some: Rows, others: Rows, iou: float
) -> npt.NDArray[np.bool_]:
    """Whether they are of one class and share more than `iou`: `some` x `others`. `edges` is 4 x N."""
    top, left, bottom, right = edges[:, some, None]
    tops, lefts, bottoms, rights = edges[:, others]
    height = np.maximum(np.minimum(bottom, bottoms) - np.maximum(top, tops), 0)
    width = np.maximum(np.minimum(right, rights) - np.maximum(left, lefts), 0)
    both = height * width
    union = (bottom - top) * (right - left) + (bottoms - tops) * (rights - lefts) - both
    return np.asarray((classes[some, None] == classes[others]) & (both > iou * union), np.bool_)
