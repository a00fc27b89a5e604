"""Outputs that do not fit are an error of the model, never detections."""

import numpy as np
import pytest

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.decoding import Decoder
from vigie.errors import BadBundle
from vigie.pictures import Picture
from vigie.raw_heads import RawHeadsDetector

ANCHORS = anchors_yxyx_px(AnchorSpec(min_level=3, max_level=3), 64, 64)
PICTURE = Picture.from_pixels(np.zeros((48, 64, 3), np.uint8))


class Heads:
    """Gives back what it was told, and remembers the sizes of the batches."""

    def __init__(self, raw_boxes: np.ndarray, scores: np.ndarray) -> None:
        self.raw_boxes, self.scores = raw_boxes, scores
        self.batches: list[int] = []

    def __call__(self, rgb_u8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(len(rgb_u8))
        return tuple(np.broadcast_to(one, (len(rgb_u8), *one.shape)) for one in (self.raw_boxes, self.scores))


def detector(raw_boxes: np.ndarray, scores: np.ndarray, batch: int = 1) -> RawHeadsDetector:
    decoder = Decoder(labels=("cat", "dog"), input_width=64, input_height=64, anchors=ANCHORS)
    return RawHeadsDetector(Heads(raw_boxes, scores), decoder, where="pets.tflite", batch=batch)


def boxes(columns: int = 4, rows: int = len(ANCHORS)) -> np.ndarray:
    return np.zeros((rows, columns), np.float32)


def test_a_model_of_other_anchors_is_refused_with_both_shapes() -> None:
    with pytest.raises(BadBundle, match=r"pets\.tflite: its raw boxes have the shape \(1, 383, 4\).* \(1, 384, 4\)"):
        detector(boxes(rows=383), boxes(2)).detect([PICTURE])


def test_a_model_of_other_labels_is_refused_with_both_shapes() -> None:
    with pytest.raises(BadBundle, match=r"pets\.tflite: its scores have the shape \(1, 384, 3\).* \(1, 384, 2\)"):
        detector(boxes(), boxes(3)).detect([PICTURE])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("output", ["raw boxes", "scores"])
def test_outputs_that_are_no_numbers_are_refused(value: float, output: str) -> None:
    broken = boxes(4 if output == "raw boxes" else 2)
    broken[7, 1] = value
    given = (broken, boxes(2)) if output == "raw boxes" else (boxes(), broken)
    with pytest.raises(BadBundle, match=f"pets.tflite: its {output} are not finite"):
        detector(*given).detect([PICTURE])


def test_pictures_go_through_in_batches_of_the_size_that_was_set() -> None:
    heads = Heads(boxes(), boxes(2))
    decoder = Decoder(labels=("cat", "dog"), input_width=64, input_height=64, anchors=ANCHORS)
    entries = RawHeadsDetector(heads, decoder, where="", batch=3).detect([PICTURE] * 7)
    assert entries == [[]] * 7
    assert heads.batches == [3, 3, 1]


def test_a_model_that_does_not_fit_is_refused_when_it_is_tried_before_any_picture() -> None:
    assert detector(boxes(), boxes(2)).tried().detect([]) == []
    with pytest.raises(BadBundle, match="its anchors and labels expect"):
        detector(boxes(rows=10), boxes(2)).tried()
