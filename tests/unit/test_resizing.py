"""One way from a picture to a model's input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.resizing import GREY, InputSize, Placement, letterboxed, normalised, resized, stretched

sides = st.integers(1, 5000)
input_sides = st.integers(1, 48).map(lambda cells: 32 * cells)


def test_stretching_gives_up_the_aspect_ratio_and_keeps_places() -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:20, 40:] = (255, 100, 0)  # the upper right quarter
    small = stretched(pixels, 16, 32)
    assert (small.shape, small.dtype) == ((32, 16, 3), np.uint8)
    np.testing.assert_array_equal(small[4, 12], (255, 100, 0))
    np.testing.assert_array_equal(small[28, 12], (0, 0, 0))
    np.testing.assert_array_equal(small[4, 4], (0, 0, 0))


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert stretched(pixels, 6, 4) is pixels


def test_letterboxing_keeps_the_aspect_ratio_and_puts_a_wide_picture_between_two_bands_of_grey() -> None:
    pixels = np.full((30, 80, 3), 200, np.uint8)
    whole, place = letterboxed(pixels, 40, 32)
    assert place == Placement(80, 30, left=0, top=8, width=40, height=15)
    assert (place.across, place.down) == (0.5, 0.5)
    assert (whole.shape, whole.dtype) == ((32, 40, 3), np.uint8)
    assert (whole[8:23] == 200).all()
    assert (whole[:8] == GREY).all()
    assert (whole[23:] == GREY).all()


def test_a_tall_picture_has_grey_at_its_sides() -> None:
    whole, place = letterboxed(np.full((100, 50, 3), 7, np.uint8), 64, 32)
    assert place == Placement(50, 100, left=24, top=0, width=16, height=32)
    assert (whole[:, 24:40] == 7).all()
    assert (np.delete(whole, range(24, 40), axis=1) == GREY).all()


def test_a_picture_of_the_inputs_shape_needs_no_grey() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    whole, place = letterboxed(pixels, 64, 48)
    np.testing.assert_array_equal(whole, stretched(pixels, 64, 48))
    assert place == Placement(128, 96, 0, 0, 64, 48)
    assert letterboxed(pixels, 128, 96)[0] is pixels


@given(width=sides, height=sides, input_width=input_sides, input_height=input_sides)
def test_a_placement_lies_inside_touches_two_sides_and_keeps_the_aspect_ratio_to_half_a_pixel(
    width: int, height: int, input_width: int, input_height: int
) -> None:
    place = InputSize(input_width, input_height, "letterbox").placement(width, height)
    assert 1 <= place.width <= input_width
    assert 1 <= place.height <= input_height
    assert place.width == input_width or place.height == input_height
    factor = min(input_width / width, input_height / height)
    assert abs(place.width - max(width * factor, 1)) <= 0.5 + 1e-6
    assert abs(place.height - max(height * factor, 1)) <= 0.5 + 1e-6
    assert abs(input_width - place.width - 2 * place.left) <= 1
    assert abs(input_height - place.height - 2 * place.top) <= 1


@pytest.mark.parametrize("shape", [(10, 4000), (4000, 10), (1, 400), (400, 1), (1, 1), (2, 70000)])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_thin_and_long_pictures_keep_a_pixel_at_least(shape: tuple[int, int], resize: str) -> None:
    whole = resized(np.full((*shape, 3), 250, np.uint8), InputSize(320, 192, resize))  # type: ignore[arg-type]
    assert whole.shape == (192, 320, 3)
    assert (whole == 250).all(axis=2).any()


def test_normalising_is_less_the_mean_over_the_deviation_a_channel() -> None:
    pixels = np.array([[[10, 20, 30], [0, 255, 128]]], np.uint8)
    found = normalised(pixels, (10, 10, 30), (1, 2, 4))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[[0, 5, 0], [-10, 122.5, 24.5]]])
    np.testing.assert_array_equal(normalised(pixels[None], (10, 10, 30), (1, 2, 4))[0], found)
