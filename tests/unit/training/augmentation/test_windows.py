import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rectangles import Rectangles, assert_boxes_follow, drawn, rectangles

from vigie.training.augmentation.windows import cut, sound


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
