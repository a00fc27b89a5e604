"""Outputs that do not fit are an error of the model, never detections."""

import numpy as np
import pytest

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.decoding import Decoder
from vigie.errors import BadBundle, BadPicture
from vigie.pictures import Picture
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import GREY

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


def test_a_picture_without_a_pixel_is_a_bad_picture_and_leaves_the_others_unharmed() -> None:
    nothing = Picture.from_pixels(np.zeros((0, 64, 3), np.uint8))
    first, bad, last = detector(boxes(), boxes(2), batch=3).detect([PICTURE, nothing, PICTURE])
    assert (first, last) == ([], [])
    assert isinstance(bad, BadPicture)
    assert "no pixels: it is 64 px wide and 0 px high" in str(bad)


class BrightHeads:
    """Finds at its anchor whatever cell of the input is bright, and remembers what it was shown."""

    def __call__(self, rgb_u8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.shown = rgb_u8
        cells = rgb_u8.reshape(len(rgb_u8), 8, 8, 8, 8, 3).min(axis=(2, 4, 5)) > 250
        scores = np.repeat(cells.reshape(len(rgb_u8), 64, 1), 2, axis=2).astype(np.float32) * [1, 0]
        return np.zeros((len(rgb_u8), 64, 4), np.float32), scores.astype(np.float32)


def test_a_batch_of_letterboxed_pictures_of_several_sizes_has_each_box_at_its_own_place() -> None:
    anchors = anchors_yxyx_px(AnchorSpec(min_level=3, max_level=3, scales=1, aspect_ratios=(1.0,), size=1), 64, 64)
    decoder = Decoder(labels=("cat", "dog"), input_width=64, input_height=64, anchors=anchors, resize="letterbox")
    heads = BrightHeads()

    def picture(width: int, height: int, left: int, top: int, side: int) -> Picture:
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[top : top + side, left : left + side] = 255
        return Picture.from_pixels(pixels)

    # Each square comes to one cell of 8 px: 128x64 to 64x32 from 16 down, 32x64 beside 16, 256x256 to a quarter.
    pictures = [picture(128, 64, 32, 16, 16), picture(32, 64, 8, 40, 8), picture(256, 256, 224, 0, 32)]
    found = RawHeadsDetector(heads, decoder, where="", batch=3).detect(pictures)
    corners = [[(it.box.left, it.box.top, it.box.right, it.box.bottom) for it in entry] for entry in found]  # type: ignore[union-attr]
    assert corners == [[(32, 16, 48, 32)], [(8, 40, 16, 48)], [(224, 0, 256, 32)]]
    assert (heads.shown[0, :16] == GREY).all()
    assert (heads.shown[1, :, 48:] == GREY).all()


@pytest.mark.parametrize(("width", "height"), [(4000, 10), (10, 4000), (1, 300), (1, 1)])
def test_thin_and_long_pictures_are_looked_at(width: int, height: int) -> None:
    decoder = Decoder(labels=("cat", "dog"), input_width=64, input_height=64, anchors=ANCHORS, resize="letterbox")
    everywhere = Heads(boxes(), np.full((len(ANCHORS), 2), 0.9, np.float32))
    [found] = RawHeadsDetector(everywhere, decoder, where="").detect(
        [Picture.from_pixels(np.zeros((height, width, 3), np.uint8))]
    )
    assert found
    for one in found:  # type: ignore[union-attr]
        assert 0 <= one.box.left < one.box.right <= width
        assert 0 <= one.box.top < one.box.bottom <= height
