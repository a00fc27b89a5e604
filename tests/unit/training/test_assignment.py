"""Which anchor answers for which object, against Model Garden, cases worked out by hand and a slow reference."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.experiment import ModelSpec

Boxes = npt.NDArray[np.float32]

BY_HAND = ModelSpec(
    input_width=64,
    input_height=64,
    anchors=AnchorSpec(min_level=4, max_level=5, scales=1, aspect_ratios=(1.0,), size=1.0),
)
"""16 anchors of 16 x 16 px, row by row, then 4 of 32 x 32: each fills its cell."""
FIRST_OF_32 = 16

MANY = ModelSpec(input_width=96, input_height=64, anchors=AnchorSpec(min_level=3, max_level=6, size=3.0))


def objects(*boxes: tuple[float, float, float, float]) -> Boxes:
    return np.array(boxes, np.float32).reshape(-1, 4)


@st.composite
def drawn(draw: st.DrawFn) -> Boxes:
    boxes = []
    for _ in range(draw(st.integers(1, 5))):
        top, left = draw(st.integers(0, 60)), draw(st.integers(0, 92))
        boxes.append((top, left, draw(st.integers(top + 2, 64)), draw(st.integers(left + 2, 96))))
    return objects(*boxes)


@pytest.fixture(scope="module")
def by_model_garden() -> Any:
    from official.vision.ops.anchor import AnchorLabeler

    from vigie.training.assignment import AnchorGrid

    levels = {level.name: level.boxes.reshape(*level.boxes.shape[:2], -1) for level in AnchorGrid(MANY).levels}

    def assigned(boxes: Boxes, positive_iou: float, negative_iou: float) -> npt.NDArray[np.int64]:
        import tensorflow as tf

        labeller = AnchorLabeler(positive_iou, negative_iou, [10.0, 10.0, 5.0, 5.0])
        anchors = {name: tf.constant(values) for name, values in levels.items()}
        numbers = tf.range(len(boxes))[:, None]
        found, _, _, cls_weights, box_weights = labeller.label_anchors(anchors, tf.constant(boxes), numbers)
        flat = np.concatenate([level.numpy().ravel() for level in found.values()])
        return np.where(box_weights > 0, flat, np.where(cls_weights > 0, -1, -2))

    return assigned


@pytest.mark.parametrize(("positive_iou", "negative_iou"), [(0.5, 0.5), (0.6, 0.3)])
@settings(max_examples=40, deadline=None)
@given(boxes=drawn())
def test_by_overlap_is_what_model_garden_assigns(
    by_model_garden: Any, boxes: Boxes, positive_iou: float, negative_iou: float
) -> None:
    from vigie.training.assignment import AnchorGrid, by_iou

    found = by_iou(AnchorGrid(MANY), boxes, positive_iou, negative_iou).numpy()
    np.testing.assert_array_equal(found, by_model_garden(boxes, positive_iou, negative_iou))


def test_an_object_that_no_anchor_touches_gets_none() -> None:
    from vigie.training.assignment import AnchorGrid, by_iou

    sparse = ModelSpec(
        input_width=64, input_height=64, anchors=AnchorSpec(min_level=5, max_level=5, scales=1, size=0.25)
    )
    assigned = by_iou(AnchorGrid(sparse), objects((30, 30, 33, 33), (10, 10, 20, 20)), 0.5, 0.5)
    assert set(assigned.numpy()) == {-1, 1}


def test_the_best_anchor_of_an_object_answers_for_it_below_the_threshold() -> None:
    from vigie.training.assignment import AnchorGrid, by_iou

    # 4 x 4 px in the third cell of the first row: 16 / 256 of its anchor, 16 / 1024 of the large one.
    assigned = by_iou(AnchorGrid(BY_HAND), objects((4, 36, 8, 40)), 0.5, 0.5).numpy()
    assert assigned.tolist() == [-1, -1, 0] + [-1] * 17


def test_atss_worked_out_by_hand() -> None:
    from vigie.training.assignment import AnchorGrid, by_atss

    # The candidates are the 4 cells of 16 px around the centre, each with IoU 256 / 1024, and all 4 of 32 px, with 1,
    # 0, 0, 0. Mean 2 / 8 = .25, variance (.75 ** 2 + 3 * .25 ** 2) / 8 = .09375: the threshold is .25 + .306 = .556.
    assigned = by_atss(AnchorGrid(BY_HAND), objects((0, 0, 32, 32)), 4).numpy()
    assert np.flatnonzero(assigned == 0).tolist() == [FIRST_OF_32]
    assert np.all(np.delete(assigned, FIRST_OF_32) == -1)


def test_atss_leaves_out_what_overlaps_enough_but_has_its_centre_outside() -> None:
    from vigie.training.assignment import AnchorGrid, by_atss

    # 16 x 4 px over the corner of four small cells: IoU 12 / 308 and 20 / 300, each twice, and 64 / 1024 with the first
    # large cell; 0 with the other 15. Mean .0137, deviation .0246: all five lie above .0383, but only the centre of
    # the large one, (16, 16), is inside.
    assigned = by_atss(AnchorGrid(BY_HAND), objects((8, 14.5, 24, 18.5)), 16).numpy()
    assert np.flatnonzero(assigned >= 0).tolist() == [FIRST_OF_32]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_anchor_that_two_objects_want_answers_for_the_one_it_overlaps_more(order: tuple[int, int]) -> None:
    from vigie.training.assignment import AnchorGrid, by_atss

    # Both want the first anchor of 32 px and no other: it overlaps by 1 and by 900 / 1024.
    boxes = objects((0, 0, 32, 32), (2, 2, 32, 32))[list(order)]
    assigned = by_atss(AnchorGrid(BY_HAND), boxes, 4).numpy()
    assert assigned[FIRST_OF_32] == order.index(0)
    assert np.all(np.delete(assigned, FIRST_OF_32) == -1)


def test_an_object_in_which_no_centre_lies_has_its_best_candidates() -> None:
    from vigie.training.assignment import AnchorGrid, by_atss

    # 4 x 4 px at the corner of the first cell, whose centre is (8, 8).
    assigned = by_atss(AnchorGrid(BY_HAND), objects((1, 1, 5, 5)), 9).numpy()
    assert np.flatnonzero(assigned >= 0).tolist() == [0]


def overlap(one: Boxes, other: Boxes) -> float:
    height, width = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    shared = float(max(height, 0) * max(width, 0))
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return shared / (sum(areas) - shared)


def slow_candidates(model: ModelSpec, box: Boxes, k: int) -> list[tuple[int, bool]]:
    """Of each level the anchors of the k cells that are nearest, and whether their centres are inside."""
    first, candidates = 0, []
    for level in range(model.grid.min_level, model.grid.max_level + 1):
        rows, columns = (-(-side // 2**level) for side in (model.input_height, model.input_width))
        y = np.repeat((np.arange(rows) + 0.5) * model.input_height / rows, columns)
        x = np.tile((np.arange(columns) + 0.5) * model.input_width / columns, rows)
        away = (2 * y - box[0] - box[2]) ** 2 + (2 * x - box[1] - box[3]) ** 2
        for cell in np.argsort(away, kind="stable")[:k]:
            inside = bool(box[0] < y[cell] < box[2] and box[1] < x[cell] < box[3])
            at = first + int(cell) * model.grid.per_cell
            candidates += [(at + shape, inside) for shape in range(model.grid.per_cell)]
        first += rows * columns * model.grid.per_cell
    return candidates


def slow_atss(model: ModelSpec, boxes: Boxes, k: int) -> tuple[list[int], set[int]]:
    """Algorithm 1 of the paper in loops, and the anchors where single precision may decide otherwise."""
    anchors = anchors_yxyx_px(model.grid, model.input_width, model.input_height).astype(np.float64)
    assigned, best, unsure = [-1] * len(anchors), dict.fromkeys(range(len(anchors)), 0.0), set()
    for number, box in enumerate(boxes.astype(np.float64)):
        candidates = [(at, inside, overlap(anchors[at], box)) for at, inside in slow_candidates(model, box, k)]
        values = [value for _, _, value in candidates]
        threshold = np.mean(values) + np.std(values)
        inside = [(at, value) for at, inside, value in candidates if inside]
        wanted = [(at, value) for at, value in inside if value >= threshold]
        unsure |= {at for at, value in inside if abs(value - threshold) < 1e-4}
        if not wanted:
            wanted = [(at, value) for at, _, value in candidates if value == max(values)]
            unsure |= {at for at, _, value in candidates if value > max(values) - 1e-4}
        unsure |= {at for at, value in wanted if abs(best[at] - value) < 1e-5}
        for at, value in wanted:
            if value > best[at]:
                assigned[at], best[at] = number, value
    return assigned, unsure


@settings(max_examples=40, deadline=None)
@given(boxes=drawn(), k=st.integers(1, 9))
def test_atss_is_what_the_reference_assigns(boxes: Boxes, k: int) -> None:
    from vigie.training.assignment import AnchorGrid, by_atss

    found = by_atss(AnchorGrid(MANY), boxes, k).numpy()
    expected, unsure = slow_atss(MANY, boxes, k)
    sure = np.setdiff1d(np.arange(len(found)), list(unsure))
    np.testing.assert_array_equal(found[sure], np.array(expected)[sure])
    assert len(unsure) < len(found) / 10
