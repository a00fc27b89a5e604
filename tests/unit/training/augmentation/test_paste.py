import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rectangles import Rectangles, drawn, rectangles

from vigie.training.augmentation.paste import paste

seeds = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)).map(lambda pair: np.array(pair, np.int64))
EVEN = np.ones(20, np.float32)


def pasted(
    picture: Rectangles, donor: Rectangles, seed: np.ndarray, favour: np.ndarray = EVEN
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a donor's objects are counts on from 10."""
    image, boxes, classes = paste(
        (picture.image, picture.boxes, picture.classes), (donor.image, donor.boxes, donor.classes + 10), favour, seed
    )
    return np.asarray(image), np.asarray(boxes), np.asarray(classes)


def white(height: int, width: int, boxes: list[tuple[int, int, int, int]]) -> Rectangles:
    """Objects of one colour on black."""
    one = drawn(height, width, boxes)
    return Rectangles(np.repeat(one.image.max(axis=2, keepdims=True), 3, axis=2), one.boxes_yxyx_px, one.classes)


@settings(max_examples=40, deadline=None)
@given(picture=rectangles(), seed=seeds, height=st.integers(8, 40), width=st.integers(8, 40))
def test_the_object_stands_where_its_box_says_and_covers_no_other(
    picture: Rectangles, seed: np.ndarray, height: int, width: int
) -> None:
    donor = white(60, 60, [(10, 10, 10 + height, 10 + width)])
    image, boxes, classes = pasted(picture, donor, seed)
    assert (image.shape, image.dtype) == (picture.image.shape, np.uint8)
    kept = len(picture.boxes)
    np.testing.assert_array_equal(boxes[:kept], picture.boxes)
    if len(boxes) == kept:
        np.testing.assert_array_equal(image, picture.image)
        return
    assert classes.tolist() == [*picture.classes, 10]
    top, left, bottom, right = boxes[kept] * np.tile(image.shape[:2], 2)
    inside = image[int(np.ceil(top)) + 1 : int(bottom) - 1, int(np.ceil(left)) + 1 : int(right) - 1]
    assert np.all(inside > 127)
    assert min(bottom - top, right - left) > 7
    for other in picture.boxes_yxyx_px:
        shared = np.maximum(np.minimum([bottom, right], other[2:]) - np.maximum([top, left], other[:2]), 0).prod()
        smaller = min((bottom - top) * (right - left), (other[2:] - other[:2]).prod())
        assert shared <= 0.051 * smaller


def test_it_is_about_as_large_as_those_that_are_there() -> None:
    picture = drawn(200, 200, [(10, 10, 30, 30)])
    donor = white(100, 100, [(20, 20, 60, 60)])
    sides = []
    for number in range(40):
        _, boxes, _ = pasted(picture, donor, np.array([1, number]))
        if len(boxes) == 2:
            sides.append(200 * (boxes[1, 2:] - boxes[1, :2]))
    assert len(sides) > 30
    assert np.min(sides) >= 0.7 * 20 - 1
    assert np.max(sides) <= 1.4 * 20 + 1
    assert np.ptp(sides) > 8


def test_it_is_of_the_class_that_is_favoured() -> None:
    picture = drawn(200, 200, [])
    donor = white(100, 100, [(5, 5, 25, 25), (40, 40, 60, 60), (70, 70, 90, 90)])
    favour = EVEN.copy()
    favour[11] = 2.0
    found = {int(pasted(picture, donor, np.array([1, number]), favour)[2][0]) for number in range(10)}
    assert found == {11}
    even = {int(pasted(picture, donor, np.array([1, number]))[2][0]) for number in range(30)}
    assert even == {10, 11, 12}


@pytest.mark.parametrize("boxes", [[], [(10, 10, 17, 50)]], ids=["no object", "a thin one"])
def test_a_donor_without_an_object_to_copy_changes_nothing(boxes: list[tuple[int, int, int, int]]) -> None:
    picture = drawn(80, 80, [(10, 10, 30, 30)])
    image, found, _ = pasted(picture, drawn(60, 60, boxes), np.array([1, 2]))
    np.testing.assert_array_equal(image, picture.image)
    np.testing.assert_array_equal(found, picture.boxes)


def test_a_full_picture_stays_as_it_is() -> None:
    picture = drawn(80, 80, [(0, 0, 80, 80)])
    image, found, _ = pasted(picture, white(60, 60, [(10, 10, 40, 40)]), np.array([1, 2]))
    np.testing.assert_array_equal(image, picture.image)
    assert len(found) == 1


def test_the_copy_fades_into_what_is_around_it() -> None:
    """Grey around a white object comes with it, weaker the further from the object."""
    picture = drawn(100, 100, [(0, 0, 20, 20)])
    picture.image[:] = 0
    donor = white(60, 60, [(20, 20, 40, 40)])
    donor.image[donor.image == 0] = 100
    for number in range(20):
        image, boxes, _ = pasted(picture, donor, np.array([3, number]))
        top, left, bottom, right = (boxes[-1] * 100).round().astype(int)
        if len(boxes) == 2 and left > 6 and right < 94:
            row = image[(top + bottom) // 2, :, 0].astype(int)
            before = row[left - 4 : left - 1]
            assert before[0] <= before[-1] <= 101
            assert row[left + 2] > 200
            assert row[max(left - 8, 0)] == 0
            return
    pytest.fail("no copy with room around it in 20 draws")
