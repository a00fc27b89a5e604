"""One way from a picture to a model's input."""

import numpy as np

from vigie.resizing import normalised, stretched


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


def test_normalising_is_less_the_mean_over_the_deviation_a_channel() -> None:
    pixels = np.array([[[10, 20, 30], [0, 255, 128]]], np.uint8)
    found = normalised(pixels, (10, 10, 30), (1, 2, 4))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[[0, 5, 0], [-10, 122.5, 24.5]]])
    np.testing.assert_array_equal(normalised(pixels[None], (10, 10, 30), (1, 2, 4))[0], found)
