"""Raw heads become the boxes that a hand computes."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.decoding import Decoder, non_maximum_suppression
from vigie.domain import Box, Detection

# One anchor of 20 wide x 40 high around (50, 50), one of 20 x 20 around (20, 20): top, left, bottom, right.
ANCHORS = np.array([[30, 40, 70, 60], [10, 10, 30, 30]], np.float32)
REST = np.zeros((2, 4), np.float32)


def decoder(**changes: object) -> Decoder:
    values = {"labels": ("cat", "dog"), "input_width": 100, "input_height": 100, "anchors": ANCHORS}
    return Decoder(**{**values, **changes})  # type: ignore[arg-type]


def scores(*rows: tuple[float, float]) -> np.ndarray:
    return np.array(rows, np.float32)


def decoded(one: Decoder, raw: np.ndarray, found: np.ndarray, width: int = 100, height: int = 100) -> list[Detection]:
    return one.decode(raw, found, width=width, height=height)


def corners(box: Box) -> tuple[float, float, float, float]:
    return (box.left, box.top, box.right, box.bottom)


def test_raw_zeros_mean_the_anchor_itself() -> None:
    found = decoded(decoder(), REST, scores((0.9, 0), (0, 0.8)))
    assert [(one.label, round(one.score, 4), corners(one.box)) for one in found] == [
        ("cat", 0.9, (40, 30, 60, 70)),
        ("dog", 0.8, (10, 10, 30, 30)),
    ]


def test_offsets_move_by_the_anchors_size_and_stretch_by_the_exponential() -> None:
    # dy 5 / 10 of 40 high: 20 down; dx -10 / 10 of 20 wide: 20 left; height x 2, width x 1/2.
    raw = np.array([[5, -10, 5 * np.log(2), 5 * np.log(0.5)], [0, 0, 0, 0]], np.float32)
    (found,) = decoded(decoder(), raw, scores((0.9, 0), (0, 0)), 1000, 1000)
    # Centre (30, 70), 10 wide x 80 high, and the picture is ten times the input.
    assert corners(found.box) == pytest.approx((250, 300, 350, 1000))


def test_a_letterboxed_box_is_mapped_back_by_the_one_factor_of_both_sides_and_its_place() -> None:
    # 200x50 comes to 100x25 in 100x100, from 37 to 62: of the anchor's 30 to 70 only that is the picture's.
    boxed = decoder(resize="letterbox")
    (found,) = decoded(boxed, REST, scores((0.9, 0), (0, 0)), 200, 50)
    assert corners(found.box) == pytest.approx((80, 0, 120, 50))
    # 50x200 comes to 25x100, from 37 to 62: the anchor's 40 to 60 are its 6 to 46.
    (found,) = decoded(boxed, REST, scores((0.9, 0), (0, 0)), 50, 200)
    assert corners(found.box) == pytest.approx((6, 60, 46, 140))


def test_boxes_on_the_grey_around_a_letterboxed_picture_are_dropped() -> None:
    assert decoded(decoder(resize="letterbox"), REST, scores((0, 0), (0, 0.8)), 200, 50) == []


def test_boxes_are_given_in_pixels_of_the_original_picture_stretched_each_way_by_itself() -> None:
    (found,) = decoded(decoder(), REST, scores((0.9, 0), (0, 0)), 640, 480)
    assert corners(found.box) == pytest.approx((256, 144, 384, 336))


def test_boxes_are_clipped_to_the_picture_and_those_outside_it_are_dropped() -> None:
    # dx -25 / 10 of 20 wide: the centre stands on the left edge; the other one is 400 px to the left of it.
    raw = np.array([[0, -25, 0, 0], [0, -200, 0, 0]], np.float32)
    (clipped,) = decoded(decoder(), raw, scores((0.9, 0), (0.9, 0)))
    assert corners(clipped.box) == pytest.approx((0, 30, 10, 70))


def test_a_monstrous_size_stays_finite_and_inside_the_picture() -> None:
    raw = np.array([[0, 0, 1e6, 1e6], [0, 0, 0, 0]], np.float32)
    (found,) = decoded(decoder(), raw, scores((0.9, 0), (0, 0)))
    assert corners(found.box) == (0, 0, 100, 100)


def test_what_is_no_number_is_found_nowhere() -> None:
    raw = np.array([[np.nan, 0, 0, 0], [0, 0, 0, 0]], np.float32)
    assert decoded(decoder(), raw, scores((0.9, 0), (np.nan, 0))) == []


def test_overlapping_boxes_of_one_label_are_one_object_and_of_two_labels_two() -> None:
    twins = decoder(anchors=np.array([[30, 40, 70, 60], [31, 40, 71, 60]], np.float32))
    same = decoded(twins, REST, scores((0.9, 0), (0.95, 0)))
    assert [(one.label, round(one.score, 4), one.box.top) for one in same] == [("cat", 0.95, 31)]
    both = decoded(twins, REST, scores((0.9, 0), (0, 0.95)))
    assert [one.label for one in both] == ["dog", "cat"]


def test_boxes_that_overlap_by_no_more_than_allowed_stay_two() -> None:
    # 40 high, shifted by 13.5: 26.5 shared of 53.5, less than half; shifted by 13: 27 of 53, more.
    def anchors(shift: float) -> np.ndarray:
        return np.array([[30, 40, 70, 60], [30 + shift, 40, 70 + shift, 60]], np.float32)

    found = scores((0.9, 0), (0.8, 0))
    assert len(decoded(decoder(anchors=anchors(13.5)), REST, found)) == 2
    assert len(decoded(decoder(anchors=anchors(13.0)), REST, found)) == 1


def test_a_label_may_have_a_threshold_of_its_own() -> None:
    choosy = decoder(score_threshold=0.5, thresholds={"dog": 0.9})
    found = decoded(choosy, REST, scores((0.6, 0.8), (0.4, 0.95)))
    assert [(one.label, round(one.score, 4)) for one in found] == [("dog", 0.95), ("cat", 0.6)]


def test_only_so_many_are_given_and_the_best_of_them() -> None:
    few = decoder(max_detections=1)
    assert [one.label for one in decoded(few, REST, scores((0.7, 0), (0, 0.8)))] == ["dog"]


def test_nothing_over_the_threshold_is_an_empty_list() -> None:
    assert decoded(decoder(), REST, scores((0.1, 0.2), (0.3, 0.4))) == []
    assert list(non_maximum_suppression(np.empty((0, 4), np.float32), np.empty(0, np.int64), 0.5, 9)) == []


def test_suppression_is_greedy_so_a_suppressed_box_suppresses_none() -> None:
    # Neighbours share 7 of 13, IoU .54; the outer two 4 of 16.
    chain = np.array([[0, 0, 10, 10], [0, 3, 10, 13], [0, 6, 10, 16]], np.float32)
    assert list(non_maximum_suppression(chain, np.zeros(3, np.int64), 0.5, 9)) == [0, 2]
    assert list(non_maximum_suppression(chain, np.array([0, 1, 0]), 0.5, 9)) == [0, 1, 2]
    assert list(non_maximum_suppression(chain, np.zeros(3, np.int64), 0.5, 1)) == [0]


def test_candidates_beyond_the_best_are_left_out_of_the_suppression() -> None:
    scores = np.array([[0.6], [0.9], [0.7]], np.float32)
    raw = np.zeros((3, 4), np.float32)
    apart = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]], np.float32)
    two = Decoder(("a",), 64, 64, apart, score_threshold=0.5, max_candidates=2)
    assert [round(found.score, 1) for found in two.decode(raw, scores, width=64, height=64)] == [0.9, 0.7]


@given(seed=st.integers(0, 10_000), number=st.integers(1, 300), iou=st.sampled_from([0.3, 0.5, 0.7]))
@settings(max_examples=60, deadline=None)
def test_suppression_by_blocks_is_the_suppression_of_each_class_by_itself(seed: int, number: int, iou: float) -> None:
    random = np.random.default_rng(seed)
    corners = random.integers(0, 40, (number, 2))
    boxes = np.concatenate([corners, corners + random.integers(5, 30, (number, 2))], axis=1).astype(np.float32)
    classes = random.integers(0, 3, number)
    scores = np.sort(random.permutation(1000)[:number] + 1)[::-1] / 2000
    expected = set()
    for column in range(3):
        own = np.flatnonzero(classes == column)
        sides = [[left, top, right - left, bottom - top] for top, left, bottom, right in boxes[own].tolist()]
        expected |= {int(own[at]) for at in cv2.dnn.NMSBoxes(sides, scores[own].tolist(), 0.0, iou)}
    assert non_maximum_suppression(boxes, classes, iou, number).tolist() == sorted(expected)
    few = max(1, len(expected) // 2)
    assert non_maximum_suppression(boxes, classes, iou, few).tolist() == sorted(expected)[:few]


def test_offsets_of_corners_are_in_sizes_of_the_anchor() -> None:
    raw = np.array([[0.5, -0.5, 0.25, 0], [0, 0, 0, 0]], np.float32)
    (found,) = decoded(decoder(coding="corners"), raw, scores((0.9, 0), (0, 0)))
    assert corners(found.box) == pytest.approx((30, 50, 60, 80))
