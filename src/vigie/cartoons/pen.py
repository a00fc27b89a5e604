"""Anti-aliased shapes at fractions of a pixel, in coordinates of the thing that is drawn."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vigie.pictures import Pixels

Colour: TypeAlias = tuple[int, int, int]
"""Red, green, blue; 0 to 255."""

Points: TypeAlias = npt.NDArray[np.float64]
"""N x 2: right, down."""

_FRACTION_BITS = 4  # OpenCV takes coordinates in 16ths of a pixel
_TURN = np.linspace(0, 2 * math.pi, 36, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def shade(colour: Colour, factor: float) -> Colour:
    """Below 1 darker, above 1 towards white."""
    if factor <= 1:
        red, green, blue = (round(part * factor) for part in colour)
    else:
        red, green, blue = (round(255 - (255 - part) / factor) for part in colour)
    return red, green, blue


def oval(u: float, v: float, half_width: float, half_height: float) -> Points:
    """The outline of an upright ellipse around (u, v)."""
    return np.asarray(_CIRCLE * (half_width, half_height) + (u, v))


def curve(start: tuple[float, float], bend: tuple[float, float], end: tuple[float, float], steps: int = 9) -> Points:
    """A quadratic Bezier curve from start to end, drawn towards `bend`."""
    t = np.linspace(0, 1, steps)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * np.asarray(bend) + t**2 * end)


class Pen:
    """Draws on `canvas` in units of (`scale_u`, `scale_v`) pixels around a centre, turned by `tilt_rad` clockwise."""

    def __init__(
        self,
        canvas: Pixels,
        centre: tuple[float, float] = (0.0, 0.0),
        scale: tuple[float, float] = (1.0, 1.0),
        tilt_rad: float = 0.0,
    ) -> None:
        self._canvas = canvas
        self._centre = np.asarray(centre)
        self._unit_px = scale[0]
        cos, sin = math.cos(tilt_rad), math.sin(tilt_rad)
        self._matrix = np.array([[cos * scale[0], sin * scale[0]], [-sin * scale[1], cos * scale[1]]])

    def fill(self, points: Points, colour: Colour) -> None:
        """Fill a polygon."""
        cv2.fillPoly(self._canvas, [self._fixed(points)], colour, cv2.LINE_AA, _FRACTION_BITS)

    def line(self, points: Points, colour: Colour, thickness: float, *, closed: bool = False) -> None:
        """`thickness` in units of the pen; at least one pixel."""
        thickness_px = max(1, round(thickness * self._unit_px))
        cv2.polylines(self._canvas, [self._fixed(points)], closed, colour, thickness_px, cv2.LINE_AA, _FRACTION_BITS)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.fill(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), colour)

    def fill_all(self, shapes: Sequence[tuple[Points, Colour]]) -> None:
        for points, colour in shapes:
            self.fill(points, colour)

    def _fixed(self, points: Points) -> npt.NDArray[np.int32]:
        # OpenCV's pixel (0, 0) is centred at 0, the boxes' first pixel reaches from 0 to 1.
        px = points @ self._matrix + self._centre - 0.5
        return np.asarray(np.rint(px * 2**_FRACTION_BITS), dtype=np.int32)
