import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from rectangles import Rectangles, assert_boxes_follow, drawn, rectangles, seen

from vigie.training.augmentation.geometry import crop, flip, scaled

OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9)
seeds = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)).map(lambda pair: np.array(pair, np.int64))


@settings(max_examples=25, deadline=None)
@given(picture=rectangles())
def test_a_mirrored_box_lies_on_its_mirrored_object(picture: Rectangles) -> None:
    image, boxes = flip(picture.image, picture.boxes)
    np.testing.assert_array_equal(image, picture.image[:, ::-1])
    assert_boxes_follow(image.numpy(), boxes.numpy(), picture.classes)


def _window_px(picture: Rectangles, seed: npt.NDArray[np.int64], overlaps: tuple[float, ...]) -> list[int]:
    """Top, left, bottom, right of the crop, read off a picture that holds its own coordinates."""
    height, width = picture.image.shape[:2]
    places = np.stack(np.broadcast_arrays(*np.ogrid[:height, :width], 0), axis=2).astype(np.int32)
    found = crop(places, picture.boxes, picture.classes, seed, overlaps)[0].numpy()
    return [*found[0, 0, :2].tolist(), *(found[-1, -1, :2] + 1).tolist()]


@settings(max_examples=30, deadline=None)
@given(picture=rectangles(least=1), seed=seeds, overlap=st.sampled_from(OVERLAPS))
def test_a_crop_shows_an_object_as_the_overlap_asks_and_boxes_follow(
    picture: Rectangles, seed: npt.NDArray[np.int64], overlap: float
) -> None:
    image, boxes, classes = (
        found.numpy() for found in crop(picture.image, picture.boxes, picture.classes, seed, [overlap])
    )
    assert_boxes_follow(image, boxes, classes)
    top, left, bottom, right = _window_px(picture, seed, (overlap,))
    np.testing.assert_array_equal(image, picture.image[top:bottom, left:right])
    corners = picture.boxes_yxyx_px[classes]
    shown = np.clip(corners, [top, left] * 2, [bottom, right] * 2)
    areas = [np.prod(some[:, 2:] - some[:, :2], axis=1) for some in (shown, corners)]
    assert np.max(areas[0] / areas[1]) >= overlap - 1e-5
    gone = np.setdiff1d(picture.classes, classes)
    centres = (picture.boxes_yxyx_px[gone][:, :2] + picture.boxes_yxyx_px[gone][:, 2:]) / 2
    assert not np.any(np.all((centres > [top, left]) & (centres < [bottom, right]), axis=1))


@settings(max_examples=25, deadline=None)
@given(picture=rectangles(), seed=seeds)
def test_a_crop_has_the_area_and_the_aspect_ratio_of_ssd_or_is_the_whole_picture(
    picture: Rectangles, seed: npt.NDArray[np.int64]
) -> None:
    top, left, bottom, right = _window_px(picture, seed, OVERLAPS)
    height, width = bottom - top, right - left
    if (height, width) != picture.image.shape[:2]:
        assert 0.09 <= height * width / np.prod(picture.image.shape[:2]) <= 1
        assert 0.45 <= width / height <= 2.2  # windows have whole pixels


def test_crops_of_many_seeds_differ_and_reach_every_corner() -> None:
    picture = drawn(60, 60, [(20, 20, 40, 40)])
    windows = {tuple(_window_px(picture, np.array([1, number]), OVERLAPS)) for number in range(30)}
    assert len(windows) > 25
    tops, lefts, bottoms, rights = zip(*windows, strict=True)
    assert (min(tops), min(lefts), max(bottoms), max(rights)) == pytest.approx((0, 0, 60, 60), abs=6)


def test_a_picture_without_objects_is_cropped_too() -> None:
    picture = drawn(60, 60, [])
    sizes = {crop(picture.image, picture.boxes, picture.classes, [3, number], OVERLAPS)[0].shape for number in range(5)}
    assert len(sizes) > 1


def test_a_picture_in_which_no_crop_fits_stays_whole() -> None:
    """The only object fills a strip from edge to edge, and nearly all of it must be seen."""
    picture = drawn(40, 160, [(0, 0, 40, 160)])
    image, boxes, _ = crop(picture.image, picture.boxes, picture.classes, [1, 1], [1.0])
    np.testing.assert_array_equal(image, picture.image)
    np.testing.assert_allclose(boxes, picture.boxes)


@settings(max_examples=25, deadline=None)
@given(picture=rectangles(), seed=seeds, smallest=st.floats(0.4, 1), largest=st.floats(1, 2.5))
def test_boxes_follow_a_picture_that_is_made_smaller_or_larger(
    picture: Rectangles, seed: npt.NDArray[np.int64], smallest: float, largest: float
) -> None:
    found = scaled(picture.image, picture.boxes, picture.classes, seed, smallest, largest, 48, 64)
    image, boxes, classes = (part.numpy() for part in found)
    assert (image.shape, image.dtype) == ((48, 64, 3), np.float32)
    assert_boxes_follow(image, boxes, classes)
    for gone in np.setdiff1d(picture.classes, classes):
        left_over = seen(image, int(gone))
        # Only a larger picture loses objects, and what is left of one that did lies at the edge.
        assert left_over is None or np.any(left_over[:2] <= 1) or np.any(left_over[2:] >= np.array([47, 63]))


def test_a_smaller_picture_has_the_drawn_size_lies_anywhere_and_hides_nothing() -> None:
    picture = drawn(60, 60, [(0, 0, 60, 60)])
    corners = []
    for number in range(40):
        image, boxes, _ = scaled(picture.image, picture.boxes, picture.classes, [5, number], 0.5, 0.5, 64, 64)
        assert boxes.numpy()[0, 2:] - boxes.numpy()[0, :2] == pytest.approx(0.5)
        assert np.count_nonzero(image.numpy()[:, :, 0] == 255) == 32 * 32
        assert set(np.unique(image.numpy()[:, :, 1])) == {0.0, 114.0}
        corners.append(boxes.numpy()[0, :2])
    assert np.min(corners, axis=0) == pytest.approx(0, abs=0.1)
    assert np.max(corners, axis=0) == pytest.approx(0.5, abs=0.1)


def test_a_larger_picture_shows_the_part_that_the_factor_leaves() -> None:
    picture = drawn(60, 60, [(15, 15, 45, 45)])
    _, boxes, _ = scaled(picture.image, picture.boxes, picture.classes, tf.constant([1, 2]), 1.5, 1.5, 64, 64)
    assert np.prod(boxes.numpy()[0, 2:] - boxes.numpy()[0, :2]) <= 0.75**2 + 1e-6
    image, whole, _ = scaled(picture.image, picture.boxes, picture.classes, tf.constant([1, 2]), 1.0, 1.0, 60, 60)
    np.testing.assert_array_equal(image, picture.image)
    np.testing.assert_allclose(whole, picture.boxes)


@settings(max_examples=25, deadline=None)
@given(picture=rectangles(), seed=seeds, smallest=st.floats(0.4, 1), largest=st.floats(1, 2.5))
def test_boxes_follow_a_letterboxed_picture_that_is_made_smaller_or_larger(
    picture: Rectangles, seed: npt.NDArray[np.int64], smallest: float, largest: float
) -> None:
    found = scaled(picture.image, picture.boxes, picture.classes, seed, smallest, largest, 48, 80, "letterbox")
    image, boxes, classes = (part.numpy() for part in found)
    assert image.shape == (48, 80, 3)
    assert_boxes_follow(image, boxes, classes)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.3, 2.0])
@pytest.mark.parametrize(("height", "width"), [(60, 160), (160, 60), (100, 100)])
def test_a_letterboxed_square_stays_a_square_and_grows_with_the_factor(factor: float, height: int, width: int) -> None:
    picture = drawn(height, width, [(height // 2 - 6, width // 2 - 6, height // 2 + 6, width // 2 + 6)])
    at_input = 12 * min(64 / height, 96 / width) * factor
    squares = 0
    for number in range(8):
        found = scaled(picture.image, picture.boxes, picture.classes, [7, number], factor, factor, 64, 96, "letterbox")
        for box in found[1].numpy() * np.tile([64, 96], 2):
            if np.all((box > 0.5) & (box < np.tile([64, 96], 2) - 0.5)):  # not at an edge, which cuts it
                squares += 1
                np.testing.assert_allclose(box[2:] - box[:2], at_input, rtol=0.04)
    assert squares


def test_a_letterboxed_picture_lies_anywhere_along_the_side_that_it_does_not_fill() -> None:
    picture = drawn(30, 60, [(0, 0, 30, 60)])
    tops = set()
    for number in range(40):
        image, boxes, _ = scaled(
            picture.image, picture.boxes, picture.classes, [5, number], 1.0, 1.0, 64, 64, "letterbox"
        )
        assert boxes.numpy()[0, [1, 3]].tolist() == [0, 1]
        assert np.count_nonzero(image.numpy()[:, :, 0] == 255) == 32 * 64
        tops.add(float(boxes.numpy()[0, 0] * 64))
    assert min(tops) <= 2
    assert max(tops) >= 30
