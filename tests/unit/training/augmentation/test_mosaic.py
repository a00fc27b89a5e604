import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from rectangles import Rectangles, assert_boxes_follow, drawn, rectangles

from vigie.resizing import Resize
from vigie.training.augmentation.mosaic import mosaic

seeds = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)).map(lambda pair: np.array(pair, np.int64))


def _mosaic(
    pictures: list[Rectangles], seed: npt.NDArray[np.int64], resize: Resize = "stretch"
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Classes count on from picture to picture: a tens digit for the picture, a ones digit for the channel."""
    images = tuple(picture.image for picture in pictures)
    boxes = tuple(picture.boxes for picture in pictures)
    classes = tuple(picture.classes + 10 * number for number, picture in enumerate(pictures))
    whole, moved, labels = mosaic(images, boxes, classes, seed, 96, 128, resize)
    return whole.numpy(), moved.numpy(), labels.numpy()


@settings(max_examples=30, deadline=None)
@given(picture=rectangles(least=1), number=st.integers(0, 3), seed=seeds)
def test_boxes_of_each_picture_follow_it_into_its_quarter(
    picture: Rectangles, number: int, seed: npt.NDArray[np.int64]
) -> None:
    pictures = [drawn(50, 70, []) for _ in range(4)]
    pictures[number] = picture
    image, boxes, classes = _mosaic(pictures, seed)
    assert (image.shape, image.dtype) == ((96, 128, 3), np.uint8)
    assert_boxes_follow(image, boxes, classes - 10 * number)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    down, right = divmod(number, 2)
    assert np.all((centres[:, 0] > 0.3) if down else (centres[:, 0] < 0.7))
    assert np.all((centres[:, 1] > 0.3) if right else (centres[:, 1] < 0.7))


def test_four_pictures_fill_it_without_a_gap_and_none_covers_another() -> None:
    values = (60, 120, 180, 240)
    for number in range(10):
        pictures = [
            Rectangles(
                np.full((30 + value // 10, 50, 3), value, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, int)
            )
            for value in values
        ]
        image, _, _ = _mosaic(pictures, np.array([1, number]))
        row, column = (int(np.argmax(np.diff(image[:, 0, 0].astype(int)) != 0)) + 1,
                       int(np.argmax(np.diff(image[0, :, 0].astype(int)) != 0)) + 1)  # fmt: skip
        assert 0.29 < row / 96 < 0.71
        assert 0.29 < column / 128 < 0.71
        quarters = image[:row, :column], image[:row, column:], image[row:, :column], image[row:, column:]
        assert [set(np.unique(quarter)) for quarter in quarters] == [{value} for value in values]


def test_objects_keep_at_least_half_of_their_size_and_never_grow() -> None:
    """Small squares, wholly inside: a mosaic of pictures of the input size shows them at .5 to 1 of it."""
    square = drawn(96, 128, [(40, 56, 56, 72)])
    sizes = []
    for number in range(15):
        _, boxes, _ = _mosaic([square] * 4, np.array([2, number]))
        inside = np.all((boxes[:, :2] > 0.02) & (boxes[:, 2:] < 0.98), axis=1)
        extents = (boxes[inside, 2:] - boxes[inside, :2]) * [96, 128]
        sizes += extents.max(axis=1).tolist()
    assert len(sizes) > 15
    assert min(sizes) >= 7.5
    assert max(sizes) <= 16.5


def test_the_same_seed_gives_the_same_mosaic_and_another_one_does_not() -> None:
    pictures = [drawn(60, 60, [(10, 10, 30, 40)]) for _ in range(4)]
    first, again, other = (_mosaic(pictures, np.array([1, number])) for number in (1, 1, 2))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_pictures_without_objects_make_a_mosaic_without_boxes() -> None:
    _, boxes, classes = _mosaic([drawn(40, 40, [])] * 4, np.array([1, 1]))
    assert (boxes.shape, classes.shape) == ((0, 4), (0,))


@settings(max_examples=20, deadline=None)
@given(picture=rectangles(least=1), number=st.integers(0, 3), seed=seeds)
def test_boxes_follow_letterboxed_pictures_into_their_quarters(
    picture: Rectangles, number: int, seed: npt.NDArray[np.int64]
) -> None:
    pictures = [drawn(50, 70, []) for _ in range(4)]
    pictures[number] = picture
    image, boxes, classes = _mosaic(pictures, seed, "letterbox")
    assert (image.shape, image.dtype) == ((96, 128, 3), np.uint8)
    assert_boxes_follow(image, boxes, classes - 10 * number)


def test_letterboxed_squares_stay_squares_of_at_least_half_their_size_whatever_the_picture() -> None:
    """In a wide picture, a tall one, and one as long as a hair."""
    for height, width in ((60, 240), (240, 60), (20, 2000)):
        side = min(height, width) // 2
        top, left = (height - side) // 2, (width - side) // 2
        picture = drawn(height, width, [(top, left, top + side, left + side)])
        alone = side * min(96 / height, 128 / width)
        sides = []
        for number in range(8):
            _, boxes, _ = _mosaic([picture] * 4, np.array([3, number]), "letterbox")
            inside = np.all((boxes[:, :2] > 0.02) & (boxes[:, 2:] < 0.98), axis=1)
            sides += ((boxes[:, 2:] - boxes[:, :2])[inside] * [96, 128]).tolist()
        # What is no square was cut by the edge of its quarter.
        assert np.mean([abs(down - across) < 1.5 for down, across in sides]) > 0.5
        assert all(alone / 2 - 1 <= max(side) <= alone + 1 for side in sides)
