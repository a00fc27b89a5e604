"""What stands behind the people. The training set and the camera draw from different families and colours."""

import colorsys
from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np

from vigie.cartoons.faces import CLOTHES, MASKS, SKINS
from vigie.cartoons.pen import Colour, Pen, oval, shade
from vigie.pictures import Pixels

Backdrop: TypeAlias = Callable[[np.random.Generator, int, int], Pixels]
"""Draws a background of width x height from a generator."""


_BALL, _BANDED, _BALLOON, _BOX = range(4)


def colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """Any hue; saturation and value drawn from their ranges, 0 to 1."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return round(red * 255), round(green * 255), round(blue * 255)


def gradient(width: int, height: int, first: Colour, last: Colour, angle_rad: float) -> Pixels:
    """From `first` to `last` along a direction; 0 is from left to right."""
    x = np.linspace(-0.5, 0.5, width) * np.cos(angle_rad)
    y = np.linspace(-0.5, 0.5, height) * np.sin(angle_rad)
    along = x[None, :] + y[:, None]
    share = ((along - along.min()) / (np.ptp(along) or 1.0))[..., None]
    return np.asarray(np.asarray(first) * (1 - share) + np.asarray(last) * share, dtype=np.uint8)


def _plain(rng: np.random.Generator, width: int, height: int) -> Pixels:
    first, last = colour(rng, (0.1, 0.6), (0.4, 1.0)), colour(rng, (0.1, 0.6), (0.3, 0.9))
    return gradient(width, height, first, last, rng.uniform(0, 6.28))


def _clouds(rng: np.random.Generator, width: int, height: int) -> Pixels:
    coarse = rng.integers(80, 200, (int(rng.integers(3, 12)), int(rng.integers(4, 16)), 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _stripes(rng: np.random.Generator, width: int, height: int) -> Pixels:
    first, last = colour(rng, (0.1, 0.5), (0.5, 1.0)), colour(rng, (0.1, 0.5), (0.3, 0.9))
    angle, period = rng.uniform(0, 3.14), rng.uniform(0.05, 0.25) * min(width, height)
    along = np.arange(width)[None, :] * np.cos(angle) + np.arange(height)[:, None] * np.sin(angle)
    share = np.clip(np.sin(along * 2 * np.pi / period) * 3 + 0.5, 0, 1)[..., None]
    return np.asarray(np.asarray(first) * (1 - share) + np.asarray(last) * share, dtype=np.uint8)


def _tiles(rng: np.random.Generator, width: int, height: int) -> Pixels:
    base = colour(rng, (0.05, 0.5), (0.5, 0.95))
    side = max(6, round(rng.uniform(0.07, 0.22) * min(width, height)))
    rows, columns = height // side + 1, width // side + 1
    tones = rng.uniform(0.8, 1.05, (rows, columns, 1)) * np.asarray(base)
    picture = np.clip(np.kron(tones, np.ones((side, side, 1))), 0, 255).astype(np.uint8)[:height, :width].copy()
    joint = shade(base, 0.7)
    picture[::side] = joint
    picture[:, ::side] = joint
    return picture


def _room(rng: np.random.Generator, width: int, height: int) -> Pixels:
    wall, floor = colour(rng, (0.05, 0.4), (0.6, 0.98)), colour(rng, (0.2, 0.5), (0.3, 0.6))
    picture = gradient(width, height, wall, shade(wall, 0.85), 1.57)
    pen = Pen(picture, (0, 0), (width, height))
    horizon = rng.uniform(0.62, 0.8)
    pen.rectangle(0, horizon, 1, 1.01, floor)
    pen.rectangle(0, horizon - 0.015, 1, horizon + 0.01, shade(wall, 0.6))
    for _ in range(rng.integers(2, 6)):
        left, top = rng.uniform(0, 0.85), rng.uniform(0.03, horizon - 0.25)
        right, bottom = left + rng.uniform(0.08, 0.3), min(top + rng.uniform(0.1, 0.35), horizon - 0.04)
        frame = colour(rng, (0.1, 0.7), (0.3, 0.9))
        pen.rectangle(left, top, right, bottom, frame)
        pen.rectangle(left + 0.012, top + 0.016, right - 0.012, bottom - 0.016, shade(frame, rng.uniform(0.6, 2.2)))
    left = rng.uniform(0, 0.7)
    pen.rectangle(left, horizon - rng.uniform(0, 0.25), left + rng.uniform(0.15, 0.4), rng.uniform(0.85, 0.95),
                  colour(rng, (0.2, 0.7), (0.3, 0.8)))  # fmt: skip
    return picture


def _bubbles(rng: np.random.Generator, width: int, height: int) -> Pixels:
    picture = _plain(rng, width, height)
    pen = Pen(picture, (0, 0), (min(width, height), min(width, height)))
    for _ in range(rng.integers(6, 16)):
        radius = rng.uniform(0.03, 0.18)
        x, y = rng.uniform(0, width / height), rng.uniform(0, 1)
        pen.fill(oval(x, y, radius, radius), colour(rng, (0.1, 0.6), (0.4, 1.0)))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(0.5, height / 120)), dtype=np.uint8)


def _things(rng: np.random.Generator, picture: Pixels, most: int, kinds: tuple[int, ...]) -> None:
    """Balls, balloons and boxes in the colours of skin, masks and clothes: what is round is not yet a face."""
    height, width = picture.shape[:2]
    short = min(width, height)
    for _ in range(rng.integers(0, most + 1)):
        radius = rng.uniform(0.04, 0.2) * short
        pen = Pen(picture, (rng.uniform(0, width), rng.uniform(0, height)), (radius, radius), rng.uniform(-0.5, 0.5))
        palette = (SKINS, MASKS, CLOTHES)[rng.integers(3)]
        main = palette[rng.integers(len(palette))]
        kind = kinds[rng.integers(len(kinds))]
        stretch = rng.uniform(0.8, 1.4)
        if kind == _BALL:
            pen.fill(oval(0, 0, 1, stretch), shade(main, 0.65))
            pen.fill(oval(0, 0, 0.94, stretch - 0.06), main)
        elif kind == _BANDED:
            pen.fill(oval(0, 0, 1, stretch), main)
            other = MASKS[rng.integers(len(MASKS))]
            pen.rectangle(-0.9, -0.25, 0.9, 0.25, other)
        elif kind == _BALLOON:
            pen.line(np.array([[0.0, 1.0], [0.1, 2.6]]), shade(main, 0.5), 0.05)
            pen.fill(oval(0, 0, 0.85, 1.05), main)
            pen.fill(oval(-0.3, -0.4, 0.15, 0.22), shade(main, 2.0))
        else:
            pen.rectangle(-1, -stretch, 1, stretch, shade(main, 0.65))
            pen.rectangle(-0.92, 0.08 - stretch, 0.92, stretch - 0.08, main)


def _steps(start: float, stop: float, step: float) -> list[float]:
    return [float(value) for value in np.arange(start, stop, step)]


def _street(rng: np.random.Generator, width: int, height: int) -> Pixels:
    sky = colour(rng, (0.15, 0.35), (0.8, 0.98))
    picture = gradient(width, height, sky, shade(sky, 1.8), 1.57)
    pen = Pen(picture, (0, 0), (width, height))
    x = -rng.uniform(0, 0.1)
    while x < 1:
        wide, top = rng.uniform(0.16, 0.28), rng.uniform(0.12, 0.4)
        wall = colour(rng, (0.2, 0.5), (0.55, 0.9))
        pen.rectangle(x, top, x + wide, 0.8, wall)
        pen.rectangle(x, top - 0.025, x + wide, top, shade(wall, 0.7))
        for column in _steps(x + 0.025, x + wide - 0.04, 0.062):
            for row in _steps(top + 0.05, 0.66, 0.13):
                pen.rectangle(column, row, column + 0.036, row + 0.075, shade(wall, 0.55))
                pen.rectangle(column + 0.004, row + 0.006, column + 0.032, row + 0.069,
                              (255, 236, 170) if rng.random() < 0.3 else (176, 206, 222))  # fmt: skip
        x += wide
    pen.rectangle(0, 0.78, 1, 0.83, (176, 172, 166))
    pen.rectangle(0, 0.83, 1, 1.01, (98, 100, 108))
    for left in _steps(rng.uniform(-0.1, 0), 1, 0.17):
        pen.rectangle(left, 0.91, left + 0.09, 0.925, (236, 232, 214))
    return picture


def _park(rng: np.random.Generator, width: int, height: int) -> Pixels:
    sky = colour(rng, (0.1, 0.3), (0.85, 1.0))
    picture = gradient(width, height, sky, shade(sky, 2.0), 1.57)
    pen = Pen(picture, (0, 0), (width, height))
    grass: Colour = (round(rng.uniform(90, 150)), round(rng.uniform(150, 190)), round(rng.uniform(70, 110)))
    for layer, tone in ((0.5, 1.5), (0.6, 1.2), (0.72, 1.0)):
        for _ in range(3):
            pen.fill(oval(rng.uniform(0, 1), layer + 0.35, rng.uniform(0.3, 0.6), 0.4), shade(grass, tone))
        pen.rectangle(0, layer + 0.2, 1, 1.01, shade(grass, tone))
    for x in rng.permutation(np.linspace(0.06, 0.94, 7))[:4]:
        foot, size = rng.uniform(0.62, 0.8), rng.uniform(0.7, 1.2)
        pen.rectangle(x - 0.01 * size, foot - 0.2 * size, x + 0.01 * size, foot, (120, 86, 60))
        leaves = shade(grass, rng.uniform(0.5, 0.75))
        for du, dv in ((-0.04, -0.2), (0.04, -0.2), (0, -0.29)):
            pen.fill(oval(x + du * size, foot + dv * size, 0.055 * size, 0.085 * size), leaves)
    return picture


def _shop(rng: np.random.Generator, width: int, height: int) -> Pixels:
    wall = colour(rng, (0.05, 0.2), (0.85, 0.98))
    picture = gradient(width, height, wall, shade(wall, 0.9), 1.57)
    pen = Pen(picture, (0, 0), (width, height))
    wood = colour(rng, (0.25, 0.45), (0.45, 0.65))
    for shelf in (0.2, 0.42, 0.64):
        x = 0.03
        while x < 0.95:
            wide, tall = rng.uniform(0.025, 0.06), rng.uniform(0.07, 0.15)
            ware = colour(rng, (0.3, 0.7), (0.5, 0.95))
            if rng.random() < 0.8:
                pen.rectangle(x, shelf - tall, x + wide, shelf, ware)
                pen.rectangle(x, shelf - tall * 0.65, x + wide, shelf - tall * 0.4, shade(ware, 1.9))
            x += wide + rng.uniform(0.004, 0.02)
        pen.rectangle(0.01, shelf, 0.99, shelf + 0.022, wood)
    floor = colour(rng, (0.05, 0.2), (0.6, 0.8))
    pen.rectangle(0, 0.8, 1, 1.01, floor)
    pen.rectangle(0, 0.785, 1, 0.805, shade(floor, 0.6))
    return picture


_TRAINING: tuple[Backdrop, ...] = (_plain, _clouds, _stripes, _tiles, _room, _room, _bubbles)
_CAMERA: tuple[Backdrop, ...] = (_street, _park, _shop)


def training_backdrop(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Walls, rooms, stripes, tiles, clouds, bubbles, and things that a detector must learn to leave alone."""
    picture = _TRAINING[rng.integers(len(_TRAINING))](rng, width, height)
    _things(rng, picture, 4, (_BALL, _BANDED, _BALLOON, _BOX))
    return picture


def camera_backdrop(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """A street, a park or a shop: none of them is in the training set."""
    picture = _CAMERA[rng.integers(len(_CAMERA))](rng, width, height)
    _things(rng, picture, 3, (_BALL, _BALLOON))
    return picture
