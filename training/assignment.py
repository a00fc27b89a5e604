"""Which anchors answer for which object of a picture, in TensorFlow.

An assignment is int32 [anchors], in the order of `vigie.anchors`: the object's number, BACKGROUND or IGNORED. Boxes are
float32 [objects, 4], top, left, bottom, right in pixels of the input; there is at least one.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vigie.anchors import Boxes, anchors_yxyx_px
from vigie.experiment import ModelSpec
from vigie.training.box_geometry import iou

BACKGROUND = -1
IGNORED = -2
"""Neither an object nor background: it does not count."""


@dataclass(frozen=True)
class AnchorLevel:
    """The anchors of one level of the pyramid: in each cell the same few shapes around the cell's centre."""

    name: str
    first: int
    """Number of its first anchor among all."""
    boxes: npt.NDArray[np.float32]
    """[rows, columns, shapes, 4]."""
    centres: npt.NDArray[np.float32]
    """[rows, columns, 2], y and x: exact, where those of the boxes are rounded."""

    @property
    def cells(self) -> int:
        return len(self.boxes) * len(self.boxes[0])

    @property
    def shapes(self) -> int:
        return len(self.boxes[0, 0])


class AnchorGrid:
    """All anchors of a model, level by level from fine to coarse."""

    def __init__(self, model: ModelSpec) -> None:
        self.anchors: Boxes = anchors_yxyx_px(model.grid, model.input_width, model.input_height)
        self.levels: list[AnchorLevel] = []
        first, shapes = 0, model.grid.per_cell
        for level in range(model.grid.min_level, model.grid.max_level + 1):
            sides = (model.input_height, model.input_width)
            cells = [math.ceil(side / 2**level) for side in sides]
            end = first + math.prod(cells) * shapes
            boxes = self.anchors[first:end].reshape(*cells, shapes, 4)
            middles = [(np.arange(count) + 0.5) * side / count for count, side in zip(cells, sides, strict=True)]
            centres = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1).astype(np.float32)
            self.levels.append(AnchorLevel(str(level), first, boxes, centres))
            first = end

    @cached_property
    def shape_major(self) -> npt.NDArray[np.int32]:
        """The anchors' numbers when each level is ordered by shape, then row, then column."""
        numbers = np.arange(len(self.anchors), dtype=np.int32)
        of_levels = np.split(numbers, [level.first for level in self.levels[1:]])
        ordered = [of.reshape(-1, level.shapes).T.ravel() for of, level in zip(of_levels, self.levels, strict=True)]
        return np.concatenate(ordered)

    @cached_property
    def from_shape_major(self) -> npt.NDArray[np.intp]:
        """Where each anchor stands in `shape_major`."""
        return np.argsort(self.shape_major)


def by_iou(grid: AnchorGrid, boxes: tf.Tensor, positive_iou: float, negative_iou: float) -> tf.Tensor:
    """An anchor answers for the object that it overlaps most, if by `positive_iou`; under `negative_iou` it is
    background, between them ignored. Each object has its best anchor whatever their overlap (Liu et al. 2016,
    arXiv:1512.02325, 2.2); of several with the same best anchor the first.

    What Model Garden's `AnchorLabeler` gives, in a fraction of the time; but an object that no anchor touches has none
    here, and there the first of all.
    """
    overlaps = _overlaps(grid, boxes)
    count, objects = len(grid.anchors), tf.shape(boxes)[0]
    of_anchor, of_object = tf.reduce_max(overlaps, axis=0), tf.reduce_max(overlaps, axis=1)
    assigned = tf.where(of_anchor < negative_iou, BACKGROUND, IGNORED)
    over = tf.where(of_anchor >= positive_iou)
    found = tf.argmax(tf.gather(overlaps, over[:, 0], axis=1), axis=0, output_type=tf.int32)
    assigned = tf.gather(tf.tensor_scatter_nd_update(assigned, over, found), grid.from_shape_major)

    best = tf.cast(tf.where((overlaps >= of_object[:, None]) & (overlaps > 0)), tf.int32)
    anchor = tf.math.unsorted_segment_min(tf.gather(grid.shape_major, best[:, 1]), best[:, 0], objects)
    touched = tf.where(anchor < count)[:, 0]
    first = tf.math.unsorted_segment_min(tf.cast(touched, tf.int32), tf.gather(anchor, touched), count)
    return tf.where(first < objects, first, assigned)


def by_atss(grid: AnchorGrid, boxes: tf.Tensor, candidates: int) -> tf.Tensor:
    """Adaptive training sample selection (Zhang et al. 2020, arXiv:1912.02424, algorithm 1).

    An object's candidates are the anchors of the `candidates` cells of each level that lie nearest to its centre. Those
    answer for it that overlap it by at least the mean plus the standard deviation of the candidates' overlaps, and have
    their centre in it. An anchor that several objects want answers for the one that it overlaps most.

    As in the authors' program all anchors of a cell, whose centre is the same, are candidates together. Other than
    there an object without such an anchor, as one so small that no centre lies in it, is not lost: its best candidate
    answers for it.
    """
    numbers, centres = (
        tf.concat(of_levels, axis=1)
        for of_levels in zip(*(_nearest(level, boxes, candidates) for level in grid.levels), strict=True)
    )
    overlaps = iou(tf.gather(grid.anchors, numbers), boxes[:, None])
    mean, variance = tf.nn.moments(overlaps, axes=[1], keepdims=True)
    inside = tf.reduce_all((centres > boxes[:, None, :2]) & (centres < boxes[:, None, 2:]), axis=-1)
    wanted = (overlaps >= mean + tf.sqrt(variance)) & inside
    best = (overlaps >= tf.reduce_max(overlaps, axis=1, keepdims=True)) & (overlaps > 0)
    wanted |= best & ~tf.reduce_any(wanted, axis=1, keepdims=True)
    chosen = tf.where(wanted)
    return _to_the_best(
        tf.gather_nd(numbers, chosen),
        tf.cast(chosen[:, 0], tf.int32),
        tf.gather_nd(overlaps, chosen),
        len(grid.anchors),
    )


def _nearest(level: AnchorLevel, boxes: tf.Tensor, cells: int) -> tuple[tf.Tensor, tf.Tensor]:
    """All anchors in the cells of a level that are nearest to each box's centre: their numbers [objects, anchors], and
    their centres [objects, anchors, 2].
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    y, x = tf.square(centre[:, :1] - level.centres[:, 0, 0]), tf.square(centre[:, 1:] - level.centres[0, :, 1])
    squared = tf.reshape(y[:, :, None] + x[:, None, :], (-1, level.cells))
    _, nearest = tf.math.top_k(-squared, min(cells, level.cells), sorted=False)
    nearest = tf.repeat(nearest, level.shapes, axis=1)
    shape = tf.range(tf.shape(nearest)[1]) % level.shapes
    return level.first + nearest * level.shapes + shape, tf.gather(level.centres.reshape(-1, 2), nearest)


def _to_the_best(anchors: tf.Tensor, objects: tf.Tensor, overlaps: tf.Tensor, count: int) -> tf.Tensor:
    """Of claims on the same anchor, all [claims], the largest overlap's wins, then the first object's."""
    largest = tf.math.unsorted_segment_max(overlaps, anchors, count)
    winning = tf.where(overlaps >= tf.gather(largest, anchors))[:, 0]
    winner = tf.math.unsorted_segment_min(tf.gather(objects, winning), tf.gather(anchors, winning), count)
    return tf.where(winner < tf.int32.max, winner, BACKGROUND)


def _overlaps(grid: AnchorGrid, boxes: tf.Tensor) -> tf.Tensor:
    """IoU of every object with every anchor, [objects, anchors in the order of `shape_major`].

    On a grid the intersection's height depends on the row alone and its width on the column: a sixth of the work that
    all pairs of boxes are.
    """
    top, left, bottom, right = (edge[:, None] for edge in tf.split(boxes, 4, axis=1))
    area = (bottom - top) * (right - left)
    parts = []
    for level in grid.levels:
        rows, columns = level.boxes[:, 0].transpose(1, 0, 2), level.boxes[0].transpose(1, 0, 2)  # shapes first
        height = tf.nn.relu(tf.minimum(rows[..., 2], bottom) - tf.maximum(rows[..., 0], top))
        width = tf.nn.relu(tf.minimum(columns[..., 3], right) - tf.maximum(columns[..., 1], left))
        intersection = height[..., None] * width[:, :, None]
        anchor_area = (rows[..., 2] - rows[..., 0])[..., None] * (columns[..., 3] - columns[..., 1])[:, None]
        union = area[..., None] + anchor_area - intersection
        parts.append(tf.reshape(intersection / union, (-1, level.cells * level.shapes)))
    return tf.concat(parts, axis=1)
