import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rectangles import Rectangles, assert_boxes_follow, drawn, rectangles

from vigie.resizing import InputSize, Resize, resized
from vigie.training.augmentation.windows import cut, fitted, size_at_input, sound


@settings(max_examples=40, deadline=None)
@given(picture=rectangles(), data=st.data())
def test_a_window_keeps_the_objects_whose_centre_it_shows_and_clips_their_boxes(
    picture: Rectangles, data: st.DataObject
) -> None:
    height, width = picture.image.shape[:2]
    top, left = data.draw(st.integers(0, height - 10)), data.draw(st.integers(0, width - 10))
    bottom, right = data.draw(st.integers(top + 10, height)), data.draw(st.integers(left + 10, width))

    window = np.array([top, left, bottom - top, right - left], np.int32)
    image, boxes, classes = (found.numpy() for found in cut(picture.image, picture.boxes, picture.classes, window))

    np.testing.assert_array_equal(image, picture.image[top:bottom, left:right])
    corners = picture.boxes_yxyx_px
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    # A centre on the edge itself falls to either side by rounding.
    sure = np.all((centres > [top, left]) & (centres < [bottom, right]), axis=1)
    possible = np.all((centres >= [top, left]) & (centres <= [bottom, right]), axis=1)
    assert set(picture.classes[sure]) <= set(classes) <= set(picture.classes[possible])
    assert_boxes_follow(image, boxes, classes)
    kept = np.clip(corners[classes], [top, left] * 2, [bottom, right] * 2) - [top, left] * 2
    np.testing.assert_allclose(boxes * np.tile(image.shape[:2], 2), kept, atol=1e-3)


def test_a_window_in_which_no_object_is_left_gives_no_boxes() -> None:
    picture = drawn(40, 40, [(0, 0, 10, 10)])
    _, boxes, classes = cut(picture.image, picture.boxes, picture.classes, np.array([20, 20, 20, 20], np.int32))
    assert (boxes.shape, classes.shape) == ((0, 4), (0,))


def test_boxes_without_an_area_in_the_picture_are_dropped_with_their_classes() -> None:
    boxes = np.array([[0.2, 0.2, 0.2, 0.5], [0.5, 0.5, 1.2, 0.9], [1.0, 0.1, 1.1, 0.2]], np.float32)
    kept, classes = sound(boxes, np.array([7, 8, 9], np.int64))
    np.testing.assert_allclose(kept, [[0.5, 0.5, 1.0, 0.9]])
    assert classes.numpy().tolist() == [8]


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 5000), columns=st.integers(1, 5000), height=st.integers(2, 48), width=st.integers(2, 48),
    resize=st.sampled_from(["stretch", "letterbox"]),
)  # fmt: skip
def test_a_picture_has_the_size_at_the_input_that_it_has_at_detection(
    rows: int, columns: int, height: int, width: int, resize: Resize
) -> None:
    place = InputSize(32 * width, 32 * height, resize).placement(columns, rows)
    found = size_at_input(np.array([rows, columns], np.int32), 32 * height, 32 * width, resize)
    assert found.numpy().tolist() == [place.height, place.width]


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize(
    ("height", "width"), [(90, 130), (131, 57), (240, 320), (96, 64), (7, 300), (200, 1), (1, 1), (10, 4000)]
)
def test_a_training_shows_a_picture_as_detection_does_up_to_rounding(height: int, width: int, resize: Resize) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.25, 0.5, 0.75, 1.0]], np.float32)
    shown, moved = fitted(image, boxes, 96, 160, resize)
    assert (shown.shape, shown.dtype.as_numpy_dtype) == ((96, 160, 3), np.float32)
    # OpenCV's bilinear weights have eleven bits, and its pixels are whole numbers.
    np.testing.assert_allclose(shown, resized(image, InputSize(160, 96, resize)), atol=1.5)
    place = InputSize(160, 96, resize).placement(width, height)
    corners = boxes * np.tile([height, width], 2)  # in pixels of the picture
    expected = corners * np.tile([place.down, place.across], 2) + np.tile([place.top, place.left], 2)
    np.testing.assert_allclose(moved * np.tile(np.float32([96, 160]), 2), expected, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(picture=rectangles(), height=st.integers(40, 90), width=st.integers(40, 90))
def test_boxes_follow_a_letterboxed_picture(picture: Rectangles, height: int, width: int) -> None:
    image, boxes = fitted(picture.image, picture.boxes, height, width, "letterbox")
    assert_boxes_follow(image.numpy(), boxes.numpy(), picture.classes)
