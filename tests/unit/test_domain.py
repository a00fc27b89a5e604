"""The shared words refuse what makes no sense and compute what they promise."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.domain import Box, Detection, Detections, Frame, LabelledBox, frame_id

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NAN = float("nan")


def boxes() -> st.SearchStrategy[Box]:
    edge = st.floats(0, 1000, allow_nan=False)
    side = st.floats(0.5, 500)
    return st.builds(
        lambda left, top, width, height: Box(left, top, left + width, top + height), edge, edge, side, side
    )


@pytest.mark.parametrize("corners", [(5, 0, 5, 9), (0, 9, 5, 9), (6, 0, 5, 9), (NAN, 0, 5, 9), (0, 0, 5, NAN)])
def test_a_box_without_an_area_is_refused(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="needs an area"):
        Box(*corners)


def test_the_overlap_of_two_boxes_is_what_a_hand_computes() -> None:
    # 10 x 10 and 10 x 10, shifted by 5: 50 shared of 150.
    assert Box(0, 0, 10, 10).iou(Box(5, 0, 15, 10)) == pytest.approx(1 / 3)


def test_boxes_that_only_touch_do_not_overlap() -> None:
    assert Box(0, 0, 10, 10).iou(Box(10, 0, 20, 10)) == 0.0


@given(boxes(), boxes())
def test_overlap_is_symmetric_and_a_share(one: Box, other: Box) -> None:
    assert one.iou(other) == pytest.approx(other.iou(one))
    assert 0.0 <= one.iou(other) <= 1.0 + 1e-9
    assert one.iou(one) == pytest.approx(1.0)


@pytest.mark.parametrize("score", [-0.01, 1.01, NAN])
def test_a_score_outside_0_to_1_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="a score lies in"):
        Detection("face", score, Box(0, 0, 1, 1))


def test_what_carries_no_label_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a label"):
        Detection("", 0.5, Box(0, 0, 1, 1))
    with pytest.raises(ValueError, match="needs a label"):
        LabelledBox("", Box(0, 0, 1, 1))


def test_a_frame_without_a_zone_or_with_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        Frame("id", "door", 0, NOON.replace(tzinfo=None), b"", 1, 1)
    with pytest.raises(ValueError, match="counts from 0"):
        Detections("id", "door", -1, NOON, 1, 1, "model", ())
    with pytest.raises(ValueError, match="needs an id and a camera"):
        Frame("id", "", 0, NOON, b"", 1, 1)


def test_a_frame_keeps_its_id_and_everything_that_differs_changes_it() -> None:
    given_id = frame_id("door", "epoch", 3, b"jpeg")
    assert given_id == frame_id("door", "epoch", 3, b"jpeg")
    assert len(given_id) == 32
    others = {
        frame_id("gate", "epoch", 3, b"jpeg"),
        frame_id("door", "other", 3, b"jpeg"),
        frame_id("door", "epoch", 4, b"jpeg"),
        frame_id("door", "epoch", 3, b"JPEG"),
    }
    assert len(others | {given_id}) == 5


def test_the_parts_of_a_frame_id_do_not_run_into_each_other() -> None:
    assert frame_id("door1", "2", 3, b"") != frame_id("door", "12", 3, b"")
