"""How well anchors match boxes, and which would do better.

Boxes are N x 4: left, top, right, bottom in pixels of the detector's input; shapes are K x 2: width, height.
"""

import itertools
import math

import numpy as np
import numpy.typing as npt

from vigie.anchors import AnchorSpec

MATCH_IOU = 0.5
ENOUGH = 0.9  # of the boxes
SHAPES = 9  # as many as YOLO's
_ROUNDS = 50
_SIZES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
_MOST_SCALES = 3
_MOST_BOXES = 20_000  # a proposal is made from so many at most, evenly taken

Floats = npt.NDArray[np.float64]


def best_ious(boxes: Floats, spec: AnchorSpec, width: int, height: int) -> Floats:
    """The overlap of each box with the anchor that fits it best.

    Of anchors of one shape that is the nearest: the overlap falls with the distance on either axis. So one
    anchor a level and shape is looked at, not all the thousands.
    """
    best = np.zeros(len(boxes))
    for level in range(spec.min_level, spec.max_level + 1):
        stride = 2**level
        x = _nearest_centre((boxes[:, 0] + boxes[:, 2]) / 2, width, math.ceil(width / stride))
        y = _nearest_centre((boxes[:, 1] + boxes[:, 3]) / 2, height, math.ceil(height / stride))
        for scale, ratio in itertools.product(range(spec.scales), spec.aspect_ratios):
            side = stride * spec.size * 2 ** (scale / spec.scales)
            half = side * math.sqrt(ratio) / 2, side / math.sqrt(ratio) / 2
            anchors = np.stack([x - half[0], y - half[1], x + half[0], y + half[1]], axis=1)
            best = np.maximum(best, _iou(boxes, anchors))
    return best


def _nearest_centre(places: Floats, length: int, cells: int) -> Floats:
    cell = length / cells
    return np.asarray((np.clip(np.floor(places / cell), 0, cells - 1) + 0.5) * cell, np.float64)


def _iou(first: Floats, second: Floats) -> Floats:
    shared = np.clip(np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]), 0, None)
    overlap = shared.prod(axis=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.asarray(overlap / (areas[0] + areas[1] - overlap), np.float64)


def share_matched(boxes: Floats, spec: AnchorSpec, width: int, height: int) -> float:
    """Of the boxes, those that an anchor overlaps enough to learn from them."""
    return float((best_ious(boxes, spec, width, height) >= MATCH_IOU).mean())


def fitted(boxes: Floats, start: AnchorSpec, width: int, height: int) -> AnchorSpec:
    """The anchors of `proposal` with the boxes' own shapes."""
    return proposal(boxes, start, k_means_shapes(boxes[:, 2:] - boxes[:, :2], SHAPES), width, height)[0]


def k_means_shapes(shapes: Floats, count: int) -> Floats:
    """Up to `count` shapes that stand for all, smallest first: k-means with the distance 1 - IoU.

    The dimension clusters of YOLOv2 (Redmon and Farhadi 2016, arXiv:1612.08242, section 2). It starts from
    quantiles of the area instead of at random: the same boxes give the same shapes.
    """
    by_area = shapes[np.argsort(shapes.prod(axis=1), kind="stable")]
    starts = ((np.arange(count) + 0.5) * len(shapes) / count).astype(int)
    centres = np.unique(by_area[starts], axis=0)
    nearest = np.full(len(shapes), -1)
    for _ in range(_ROUNDS):
        now = _shape_ious(shapes, centres).argmax(axis=1)
        if np.array_equal(now, nearest):
            break
        nearest = now
        centres = np.array([shapes[nearest == k].mean(axis=0) if (nearest == k).any() else centres[k]
                            for k in range(len(centres))])  # fmt: skip
    return centres[np.argsort(centres.prod(axis=1), kind="stable")]


def _shape_ious(shapes: Floats, centres: Floats) -> Floats:
    """N x K, as if all had one centre."""
    shared = np.minimum(shapes[:, None], centres[None]).prod(axis=2)
    return np.asarray(shared / (shapes.prod(axis=1)[:, None] + centres.prod(axis=1)[None] - shared), np.float64)


def proposal(boxes: Floats, spec: AnchorSpec, shapes: Floats, width: int, height: int) -> tuple[AnchorSpec, float]:
    """The fewest anchors that match `ENOUGH` of the boxes, else those that match most; and their share.

    Tried are some sizes, numbers of scales and finest levels, with the given aspect ratios and those of `shapes`.
    """
    boxes = boxes[:: math.ceil(len(boxes) / _MOST_BOXES)]
    levels = range(max(spec.min_level - 1, 2), spec.min_level + 1)
    scales = range(spec.scales, max(spec.scales, _MOST_SCALES) + 1)
    grid = itertools.product(levels, scales, (*_SIZES, spec.size), _ratios(spec, shapes))
    best, best_rank, best_share = spec, (True, math.inf, 0.0), 0.0
    for level, number, size, ratios in grid:
        candidate = spec.model_copy(
            update={"min_level": level, "scales": number, "size": size, "aspect_ratios": ratios}
        )
        share = share_matched(boxes, candidate, width, height)
        cost = _how_many(candidate, width, height)
        rank = (False, cost, -share) if share >= ENOUGH else (True, -share, cost)
        if rank < best_rank:
            best, best_rank, best_share = candidate, rank, share
    return best, best_share


def _how_many(spec: AnchorSpec, width: int, height: int) -> float:
    strides = (2**level for level in range(spec.min_level, spec.max_level + 1))
    return float(spec.per_cell * sum(math.ceil(width / stride) * math.ceil(height / stride) for stride in strides))


def _ratios(spec: AnchorSpec, shapes: Floats) -> list[tuple[float, ...]]:
    logs = np.log(shapes[:, 0] / shapes[:, 1])
    own = sorted({round(float(np.exp(value)), 2) for value in np.quantile(logs, (0.1, 0.5, 0.9))})
    return [spec.aspect_ratios, tuple(own)]
