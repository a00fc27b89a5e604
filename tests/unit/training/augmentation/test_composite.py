import numpy as np
import pytest

from vigie.training.augmentation.composite import CompositeIds, composite

BARE, MASKED, SLIPPED = 1, 2, 3
IDS = CompositeIds(upper=BARE, lower=MASKED, makes=SLIPPED)
Box = tuple[int, int, int, int]
SKIN, MASK, GROUND = 100, 250, 0


def picture(*objects: tuple[int, Box], size: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bare object is all skin, the lower half of a masked one is mask; the ground is black."""
    image = np.full((size, size, 3), GROUND, np.uint8)
    for kind, (top, left, bottom, right) in objects:
        image[top:bottom, left:right] = SKIN
        if kind == MASKED:
            image[(top + bottom) // 2 : bottom, left:right] = MASK
    boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4) / size
    return image, boxes, np.array([kind for kind, _ in objects], np.int64)


def made(
    annotated: tuple[np.ndarray, np.ndarray, np.ndarray], number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image, boxes, classes = composite(annotated, IDS, np.array([1, number], np.int64))
    assert (image.shape, image.dtype) == (annotated[0].shape, np.uint8)
    return np.asarray(image), np.asarray(boxes), np.asarray(classes)


def test_the_upper_object_shows_the_lower_part_of_the_other_and_is_of_the_third_class() -> None:
    before = picture((BARE, (10, 10, 50, 40)), (MASKED, (40, 60, 90, 95)))
    begins = set()
    for number in range(20):
        image, boxes, classes = made(before, number)
        np.testing.assert_array_equal(boxes, before[1])
        assert classes.tolist() == [SLIPPED, MASKED]
        outside = np.ones((100, 100), bool)
        outside[10:50, 10:40] = False
        np.testing.assert_array_equal(image[outside], before[0][outside])
        column = image[10:50, 25, 0]
        covered = np.flatnonzero(column > (SKIN + MASK) / 2)
        # Where it begins of the 40 rows: .55 to .8 of them, and then the rest of a half that is all mask from there on.
        assert 0.55 * 40 - 1 <= covered[0] <= 0.8 * 40 + 5
        assert np.all(np.diff(covered) == 1)
        assert np.all(column[:20] == SKIN)
        begins.add(int(covered[0]))
    assert len(begins) > 4


def test_where_there_are_several_each_is_chosen_at_times_and_one_at_a_time() -> None:
    before = picture((BARE, (10, 10, 40, 30)), (MASKED, (10, 40, 40, 60)), (BARE, (60, 10, 90, 30)))
    found = {tuple(made(before, number)[2].tolist()) for number in range(20)}
    assert found == {(SLIPPED, MASKED, BARE), (BARE, MASKED, SLIPPED)}


@pytest.mark.parametrize(
    "objects",
    [
        [],
        [(BARE, (10, 10, 40, 30))],
        [(MASKED, (10, 10, 40, 30)), (SLIPPED, (10, 40, 40, 60))],
        [(BARE, (10, 10, 40, 30)), (MASKED, (10, 40, 40, 51))],
        [(BARE, (10, 10, 90, 50)), (MASKED, (10, 60, 40, 79))],
    ],
    ids=["nothing", "no lower one", "no upper one", "one is thin", "one is more than twice as wide"],
)
def test_without_two_that_go_together_nothing_changes(objects: list[tuple[int, Box]]) -> None:
    before = picture(*objects)
    for number in range(5):
        for now, then in zip(made(before, number), before, strict=True):
            np.testing.assert_array_equal(now, then)


def test_objects_at_the_border_of_the_picture_and_beyond() -> None:
    image, boxes, classes = picture((BARE, (60, 80, 100, 100)), (MASKED, (50, 0, 100, 30)))
    boxes[0] += np.array([0, 0, 0.05, 0.05], np.float32)
    for number in range(10):
        changed, _, named = made((image, boxes, classes), number)
        assert named.tolist() == [SLIPPED, MASKED]
        assert np.any(changed != image)
