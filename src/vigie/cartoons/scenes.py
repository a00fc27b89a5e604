"""Whole pictures: a background, people, and how the camera sees them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vigie.cartoons.backdrops import training_backdrop
from vigie.cartoons.faces import ASPECT, LABELS, Face, random_looks
from vigie.cartoons.portrait import draw_body, draw_head
from vigie.domain import Box, LabelledBox
from vigie.pictures import Pixels

SMALLEST, LARGEST = 0.12, 0.42
"""Width of a face, as a share of the picture's shorter side."""

_MOST_COVERED = 0.1  # of the smaller of two faces, by the other one and its hair
_MOST_OUTSIDE = 0.08  # of a face's side, past the edge of the picture
_TRIES = 60


@dataclass(frozen=True, slots=True)
class Light:
    """How a camera sees a scene: gains for red, green and blue, gamma, blur and noise in grey levels."""

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    blur_sigma_px: float = 0.0
    noise_sigma: float = 0.0

    def table(self) -> npt.NDArray[np.uint8]:
        """1 x 256 x 3: what each value of each channel becomes."""
        curve = (np.arange(256) / 255) ** self.gamma * 255
        return np.asarray(np.clip(curve[None, :, None] * np.asarray(self.gains), 0, 255), dtype=np.uint8)


def random_light(rng: np.random.Generator, short_side: int) -> Light:
    """From dusk to noon, from sharp to slightly out of focus."""
    brightness = rng.uniform(0.8, 1.05)
    red, green, blue = (float(brightness * tint) for tint in rng.uniform(0.93, 1.07, 3))
    blur = float(rng.uniform(0.3, 0.7)) * short_side / 240 if rng.random() < 0.4 else 0.0
    return Light((red, green, blue), float(rng.uniform(0.8, 1.12)), blur, float(rng.uniform(0, 5)))


def noise_field(rng: np.random.Generator, width: int, height: int, sigma: float) -> npt.NDArray[np.int8]:
    """Height x width x 3 of noise around 0."""
    # The sum of two uniform draws is near enough to a Gaussian, and several times as fast.
    reach = max(1, round(sigma * 1.22))
    first = rng.integers(-reach, reach + 1, (height, width, 3), dtype=np.int8)
    second = rng.integers(-reach, reach + 1, (height, width, 3), dtype=np.int8)
    return np.asarray(first + second, dtype=np.int8)


def draw_scene(
    backdrop: Pixels, faces: Sequence[Face], light: Light, noise: npt.NDArray[np.int8] | None = None
) -> Pixels:
    """The people before the background, nearer (larger) ones in front, no face behind a body.

    `noise` has the shape of the backdrop, which stays as it is.
    """
    canvas = backdrop.copy()
    by_distance = sorted(faces, key=lambda face: face.width)
    for face in by_distance:
        draw_body(canvas, face)
    for face in by_distance:
        draw_head(canvas, face)
    if light.blur_sigma_px > 0:
        cv2.GaussianBlur(canvas, (0, 0), light.blur_sigma_px, dst=canvas)
    cv2.LUT(canvas, light.table(), dst=canvas)
    if noise is not None:
        cv2.add(canvas, noise, dst=canvas, dtype=cv2.CV_8U)
    return canvas


def random_scene(seed: int, width: int, height: int, max_faces: int) -> tuple[Pixels, tuple[LabelledBox, ...]]:
    """One picture of the training set with 1 to `max_faces` people, and where their faces are."""
    rng = np.random.default_rng([0x7261696E, seed])
    backdrop = training_backdrop(rng, width, height)
    faces = _place(rng, width, height, int(rng.integers(1, max_faces + 1)))
    light = random_light(rng, min(width, height))
    noise = noise_field(rng, width, height, light.noise_sigma) if light.noise_sigma >= 1 else None
    rgb = draw_scene(backdrop, faces, light, noise)
    return rgb, tuple(face.labelled(width, height) for face in faces)


def _place(rng: np.random.Generator, width: int, height: int, count: int) -> list[Face]:
    """Up to `count` faces that hardly cover each other; at least one."""
    faces: list[Face] = []
    for _ in range(_TRIES):
        if len(faces) == count:
            break
        face = _random_face(rng, width, height)
        if all(_apart(face, other) for other in faces):
            faces.append(face)
    return faces


def _apart(one: Face, other: Face) -> bool:
    return max(covered(one.box, other.head), covered(one.head, other.box)) <= _MOST_COVERED


def _random_face(rng: np.random.Generator, width: int, height: int) -> Face:
    # Even on a logarithmic scale, so that small faces are as common as their number in real pictures asks.
    size = float(min(width, height) * SMALLEST * (LARGEST / SMALLEST) ** rng.random())
    half_width, half_height = size * (0.5 - _MOST_OUTSIDE), size * ASPECT * (0.5 - _MOST_OUTSIDE)
    return Face(
        label=LABELS[rng.integers(len(LABELS))],
        x=float(rng.uniform(half_width, width - half_width)),
        y=float(rng.uniform(half_height, height - half_height)),
        width=size,
        looks=random_looks(rng),
        tilt_rad=float(np.clip(rng.normal(0, 0.12), -0.3, 0.3)),
        blinking=bool(rng.random() < 0.08),
    )


def covered(one: Box, other: Box) -> float:
    """The shared area as a part of the smaller box, 0 to 1."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    return max(0.0, width) * max(0.0, height) / min(one.area, other.area)
