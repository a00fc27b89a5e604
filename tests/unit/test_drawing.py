import numpy as np
import pytest

from vigie.domain import Box, Detection, LabelledBox
from vigie.drawing import PALETTE, colour_of, draw

LABELS = ("cat", "dog")
GREY = np.full((240, 320, 3), 90, np.uint8)


def pixels_of(rgb: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((rgb == colour).all(axis=2).sum())


def test_the_picture_itself_stays_as_it_is() -> None:
    before = GREY.copy()
    drawn = draw(GREY, [Detection("cat", 0.9, Box(50, 50, 150, 150))], LABELS)
    assert np.array_equal(GREY, before)
    assert drawn.shape == GREY.shape
    assert not np.array_equal(drawn, before)


def test_every_label_keeps_its_colour_and_an_unknown_one_is_grey() -> None:
    assert [colour_of(label, LABELS) for label in ("cat", "dog", "horse")] == [PALETTE[0], PALETTE[1], (200, 200, 200)]
    drawn = draw(GREY, [Detection("dog", 0.5, Box(50, 50, 150, 150))], LABELS)
    assert pixels_of(drawn, PALETTE[1]) > 300
    assert pixels_of(drawn, PALETTE[0]) == 0


def test_a_box_is_drawn_on_its_own_last_pixels() -> None:
    drawn = draw(GREY, [Detection("cat", 0.5, Box(50, 60, 150, 160))], LABELS)
    changed = (drawn != 90).any(axis=2)
    assert changed[110, 50]
    assert changed[110, 149]
    assert changed[159, 100]
    assert not changed[110, 152:].any()
    assert not changed[162:, 100].any()


def test_what_a_person_marked_is_dashed_and_what_was_found_is_solid() -> None:
    box = Box(50, 60, 150, 160)
    found = draw(GREY, [Detection("cat", 0.5, box)], LABELS)
    marked = draw(GREY, [LabelledBox("cat", box)], LABELS)
    left_edge = slice(70, 150)
    assert pixels_of(found[left_edge, 50:51], PALETTE[0]) == 80
    assert 30 <= pixels_of(marked[left_edge, 50:51], PALETTE[0]) <= 60


@pytest.mark.parametrize(
    "box", [Box(-20, -30, 40, 50), Box(300, 220, 400, 300), Box(0, 0, 320, 240), Box(5, 5, 5.4, 5.4)]
)
def test_boxes_at_and_past_the_edges_keep_a_readable_tag(box: Box) -> None:
    for item in (Detection("cat", 1.0, box), LabelledBox("cat", box)):
        assert pixels_of(draw(GREY, [item], LABELS), PALETTE[0]) > 120


def test_letters_beyond_ascii_and_pictures_smaller_than_the_tag_are_drawn() -> None:
    tiny = np.zeros((12, 10, 3), np.uint8)
    assert draw(tiny, [Detection("masqué 口罩", 0.5, Box(1, 1, 5, 5))], ["masqué 口罩"]).shape == tiny.shape
