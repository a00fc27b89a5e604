import pytest

from vigie.domain import Box, Detection, LabelledBox
from vigie.resizing import InputSize
from vigie.training.evaluating.metrics.matching import PictureResult
from vigie.training.evaluating.metrics.slices import SliceNumbers, by_crowding, by_size

SMALL, LARGE = Box(0, 0, 20, 20), Box(100, 100, 300, 300)


def test_sizes_are_those_after_stretching_to_the_models_input() -> None:
    result = PictureResult([LabelledBox("cat", SMALL), LabelledBox("cat", LARGE)], [Detection("cat", 0.9, LARGE)])
    # 640x480 to 320x240: half of each side, so 10 and 100 px.
    found = by_size([result], ["cat"], sizes=[(640, 480)], input_size=InputSize(320, 240))
    assert [one for one in found if one.boxes] == [
        SliceNumbers("8 to 16 px", 1, 1, 0.0, 0.0),
        SliceNumbers("64 to 128 px", 1, 1, pytest.approx(1), 1.0),
    ]
    assert [one.name for one in found] == [
        "under 8 px",
        "8 to 16 px",
        "16 to 32 px",
        "32 to 64 px",
        "64 to 128 px",
        "128 px and over",
    ]
    assert (found[0].ap50, found[0].recall50) == (None, None)


def test_a_letterboxed_picture_is_smaller_there_than_a_stretched_one() -> None:
    result = PictureResult([LabelledBox("cat", Box(0, 0, 40, 40))], [])
    # 640x160 to 320x320: half of each side, where stretched one half and the other doubled.
    stretched, letterboxed = [
        [one.name for one in by_size([result], ["cat"], sizes=[(640, 160)], input_size=size) if one.boxes]
        for size in (InputSize(320, 320), InputSize(320, 320, "letterbox"))
    ]
    assert (stretched, letterboxed) == (["32 to 64 px"], ["16 to 32 px"])


def test_a_side_on_the_edge_belongs_to_the_larger_slice_only() -> None:
    found = by_size(
        [PictureResult([LabelledBox("cat", Box(0, 0, 16, 16))], [])],
        ["cat"],
        sizes=[(9, 9)],
        input_size=InputSize(9, 9),
    )
    assert [one.name for one in found if one.boxes] == ["16 to 32 px"]


def test_pictures_are_sliced_by_the_boxes_on_them() -> None:
    alone = PictureResult([LabelledBox("cat", LARGE)], [Detection("cat", 0.9, LARGE)])
    crowd = PictureResult([LabelledBox("cat", Box(50.0 * n, 0, 50.0 * n + 40, 40)) for n in range(10)], [])
    pair = PictureResult([LabelledBox("cat", SMALL), LabelledBox("dog", LARGE)], [Detection("dog", 0.9, LARGE)])
    assert by_crowding([alone, crowd, pair, PictureResult([], [])], ["cat", "dog"]) == [
        SliceNumbers("1 box", 1, 1, pytest.approx(1), 1.0),
        SliceNumbers("2 to 4 boxes", 2, 1, pytest.approx(0.5), 0.5),
        SliceNumbers("5 to 9 boxes", 0, 0, None, None),
        SliceNumbers("10 or more", 10, 1, 0.0, 0.0),
    ]
