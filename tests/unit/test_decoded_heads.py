"""Boxes that a model decoded itself become detections in pixels of the original picture."""

from collections.abc import Sequence

import numpy as np
import pytest

from vigie.decoded_heads import Candidates, DecodedDetector
from vigie.domain import Box, Detection
from vigie.errors import BadBundle, BadPicture
from vigie.pictures import Picture
from vigie.resizing import InputSize

PICTURE = Picture.from_pixels(np.zeros((50, 200, 3), np.uint8))
LABELS = ("cat", None, "dog")


class Heads:
    """Gives the same for every picture, and remembers the sizes of the batches."""

    def __init__(self, *found: tuple[Sequence[float], float, int]) -> None:
        boxes, scores, classes = zip(*found, strict=True) if found else ((), (), ())
        self.found = Candidates(
            np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int64)
        )
        self.batches: list[int] = []

    def __call__(self, rgb_u8: np.ndarray) -> Sequence[Candidates]:
        self.batches.append(len(rgb_u8))
        return [self.found] * len(rgb_u8)


def detector(heads: Heads, **changes: object) -> DecodedDetector:
    values = {"labels": LABELS, "input_size": InputSize(100, 100), "where": "pets.tflite", **changes}
    return DecodedDetector(heads, **values)  # type: ignore[arg-type]


def detections(heads: Heads, **changes: object) -> list[tuple[str, float, tuple[float, ...]]]:
    (entry,) = detector(heads, **changes).detect([PICTURE])
    assert not isinstance(entry, BadPicture)
    return [(one.label, round(one.score, 4), edges(one)) for one in entry]


def edges(found: Detection) -> tuple[float, ...]:
    return tuple(round(float(edge), 3) for edge in (found.box.left, found.box.top, found.box.right, found.box.bottom))


def test_boxes_come_back_in_pixels_of_a_stretched_picture_best_first() -> None:
    heads = Heads(((0.1, 0.2, 0.5, 0.4), 0.6, 2), ((0, 0, 1, 1), 0.9, 0))
    assert detections(heads) == [("cat", 0.9, (0, 0, 200, 50)), ("dog", 0.6, (40, 5, 80, 25))]


def test_boxes_of_a_letterboxed_picture_lose_the_grey_and_what_lies_on_it_is_dropped() -> None:
    # 200x50 lies in 100x100 as 100x25, from 37 to 62.
    heads = Heads(((0.3, 0.4, 0.7, 0.6), 0.9, 0), ((0.1, 0.1, 0.3, 0.3), 0.9, 2))
    assert detections(heads, input_size=InputSize(100, 100, "letterbox")) == [("cat", 0.9, (80, 0, 120, 50))]


def test_a_box_that_reaches_outside_is_clipped_and_one_without_an_area_dropped() -> None:
    heads = Heads(((-0.5, 0.5, 2, 3), 0.9, 0), ((0.5, 0.5, 0.5, 0.7), 0.9, 0), ((0.7, 0.5, 0.5, 0.7), 0.9, 0))
    assert detections(heads) == [("cat", 0.9, (100, 0, 200, 50))]


def test_a_class_without_a_label_is_never_found_and_its_place_is_no_label() -> None:
    heads = Heads(((0, 0, 1, 1), 1.0, 1))
    assert detections(heads) == []
    assert detector(heads).labels == ("cat", "dog")


def test_a_label_may_have_a_threshold_of_its_own() -> None:
    heads = Heads(*(((0, 0, 1, 1), score, of) for score in (0.4, 0.6) for of in (0, 2)))
    assert [found[:2] for found in detections(heads, thresholds={"dog": 0.3})] == [
        ("cat", 0.6), ("dog", 0.6), ("dog", 0.4)]  # fmt: skip


def test_boxes_of_one_label_that_overlap_are_one_object_where_the_model_has_not_seen_to_it() -> None:
    heads = Heads(*(((0, 0, 1, right), score, of) for right, score, of in ((1, 0.9, 0), (0.9, 0.8, 0), (0.9, 0.7, 2))))
    assert [found[:2] for found in detections(heads)] == [("cat", 0.9), ("cat", 0.8), ("dog", 0.7)]
    assert [found[:2] for found in detections(heads, nms_iou=0.5)] == [("cat", 0.9), ("dog", 0.7)]


def test_only_so_many_are_given_and_the_best_of_them() -> None:
    heads = Heads(((0, 0, 1, 1), 0.7, 0), ((0, 0, 1, 1), 0.9, 2))
    assert [found[:2] for found in detections(heads, max_detections=1)] == [("dog", 0.9)]


def test_a_class_that_the_labels_do_not_count_up_to_is_an_error_of_the_model() -> None:
    with pytest.raises(BadBundle, match=r"pets\.tflite: finds the classes 3 to 7, and its labels count 3 from 0"):
        detections(Heads(((0, 0, 1, 1), 0.9, 7), ((0, 0, 1, 1), 0.9, 3)))
    assert detections(Heads(((0, 0, 1, 1), 0.1, 7))) == []  # nobody asked for it


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["boxes", "scores"])
def test_outputs_that_are_no_numbers_are_refused(value: float, where: str) -> None:
    heads = Heads(((0, 0, 1, 1), 0.9, 0))
    getattr(heads.found, where)[0] = value
    with pytest.raises(BadBundle, match=r"pets\.tflite: its boxes or scores are not finite"):
        detector(heads).tried()


def test_outputs_of_several_lengths_are_refused() -> None:
    heads = Heads(((0, 0, 1, 1), 0.9, 0))
    heads.found = Candidates(heads.found.boxes, heads.found.scores, np.zeros(2, np.int64))
    with pytest.raises(BadBundle, match="do not belong together"):
        detector(heads).tried()


def test_a_bad_picture_is_an_entry_and_the_others_go_through_in_batches() -> None:
    heads = Heads(((0, 0, 1, 1), 0.9, 0))
    nothing = Picture.from_pixels(np.zeros((0, 64, 3), np.uint8))
    small = Picture.from_pixels(np.zeros((8, 4, 3), np.uint8))
    entries = detector(heads, batch=2).detect([PICTURE, nothing, small, PICTURE, PICTURE])
    assert heads.batches == [1, 2, 1]
    assert [isinstance(entry, BadPicture) for entry in entries] == [False, True, False, False, False]
    assert entries[2] == [Detection("cat", float(np.float32(0.9)), Box(0, 0, 4, 8))]
