from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from vigie.training.augmentation.photometric import blurred, coloured, jpeg_noise

Change = Callable[[npt.NDArray[np.float32], list[int]], tf.Tensor]
CHANGES: dict[str, Change] = {
    "colour": lambda image, seed: coloured(image, tf.constant(seed), 0.3),
    "blur": lambda image, seed: blurred(image, tf.constant(seed), 2.0),
    "jpeg": lambda image, seed: jpeg_noise(image, tf.constant(seed), 20),
}


@pytest.fixture(scope="module")
def noise() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).integers(0, 256, (48, 64, 3)).astype(np.float32)


@pytest.mark.parametrize("name", CHANGES)
def test_pixels_change_stay_in_range_and_depend_on_the_seed_alone(name: str, noise: npt.NDArray[np.float32]) -> None:
    changed = [CHANGES[name](noise, [4, number]).numpy() for number in range(6)]
    for image in changed:
        assert (image.shape, image.dtype) == (noise.shape, np.float32)
        assert 0 <= image.min() <= image.max() <= 255
        assert not np.array_equal(image, noise)
    assert len({image.tobytes() for image in changed}) == 6
    np.testing.assert_array_equal(CHANGES[name](noise, [4, 3]), changed[3])


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_moves(name: str) -> None:
    """The brightest spot stays where it is, to the pixel."""
    image = np.full((48, 64, 3), 40, np.float32)
    image[19:22, 29:32] = 230
    for number in range(10):
        changed = CHANGES[name](image, [7, number]).numpy().mean(axis=2)
        weight = np.clip(changed - np.median(changed) - 20, 0, None)
        rows, columns = np.indices(weight.shape)
        middle = [(weight * places).sum() / weight.sum() for places in (rows, columns)]
        assert middle == pytest.approx([20, 30], abs=0.5)


def test_brightness_contrast_saturation_and_hue_all_change() -> None:
    image = np.zeros((40, 40, 3), np.float32)
    image[:, :20], image[:, 20:] = (160, 90, 90), (90, 110, 160)
    hsv = np.stack([
        tf.image.rgb_to_hsv(coloured(image, tf.constant([1, number]), 0.2) / 255).numpy()[0, 0] for number in range(80)
    ])  # fmt: skip
    plain = tf.image.rgb_to_hsv(image / 255).numpy()[0, 0]
    hue_turn = (hsv[:, 0] - plain[0] + 0.5) % 1 - 0.5
    assert np.abs(hue_turn).max() == pytest.approx(0.05, abs=0.02)  # 18 degrees; contrast turns it a little, too
    assert hsv[:, 1].min() < plain[1] * 0.9 < plain[1] * 1.1 < hsv[:, 1].max()
    assert hsv[:, 2].min() < plain[2] - 0.05 < plain[2] + 0.05 < hsv[:, 2].max()


def test_colour_of_the_greatest_strength_is_still_a_picture(noise: npt.NDArray[np.float32]) -> None:
    changed = [coloured(noise, tf.constant([1, number]), 1.0).numpy() for number in range(20)]
    assert all(np.isfinite(image).all() and image.min() >= 0 and image.max() <= 255 for image in changed)


@pytest.mark.parametrize("max_sigma_px", [0.05, 0.5, 1.5, 5.0])
def test_blur_takes_away_detail_but_no_light(max_sigma_px: float, noise: npt.NDArray[np.float32]) -> None:
    flat = np.full((48, 64, 3), 90, np.float32)
    np.testing.assert_allclose(blurred(flat, tf.constant([1, 1]), max_sigma_px), flat, atol=1e-3)
    for number in range(5):
        soft = blurred(noise, tf.constant([1, number]), max_sigma_px).numpy()
        assert soft.mean() == pytest.approx(noise.mean(), abs=2)
        assert soft.std() <= noise.std() + 1e-3


def test_blur_is_gaussian_in_both_directions() -> None:
    spot = np.zeros((41, 41, 3), np.float32)
    spot[20, 20] = 255
    soft = blurred(spot, tf.constant([1, 5]), 3.0).numpy()[:, :, 1] / 255
    np.testing.assert_allclose(soft, soft.T, atol=1e-6)
    rows = soft.sum(axis=1)
    sigma_px = np.sqrt((rows * (np.arange(41) - 20) ** 2).sum())
    expected = np.exp(-((np.arange(41) - 20) ** 2) / (2 * sigma_px**2))
    np.testing.assert_allclose(rows, expected / expected.sum(), atol=0.01)


def test_jpeg_noise_is_that_of_the_asked_qualities(noise: npt.NDArray[np.float32]) -> None:
    made = {tf.image.adjust_jpeg_quality(noise.astype(np.uint8), quality).numpy().tobytes(): quality
            for quality in range(85, 96)}  # fmt: skip
    drawn = [
        made[jpeg_noise(noise, tf.constant([1, number]), 85).numpy().astype(np.uint8).tobytes()] for number in range(80)
    ]
    assert set(drawn) == set(range(85, 96))
