"""From a picture to the input of a model: one way for the checkpoint, every exported file and every runtime.

`vigie.training.augmentation.windows` does the same to the pictures of a training, in TensorFlow.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vigie.anchors import Boxes
from vigie.pictures import Pixels

Triple: TypeAlias = tuple[float, float, float]
"""One number a channel: red, green, blue."""

Resize: TypeAlias = Literal["stretch", "letterbox"]
"""To the whole input, or as large as fits into it with its aspect ratio kept and grey around it."""

GREY = 114
"""What is around a letterboxed picture: the rounded mean of ImageNet's three channel means, which are subtracted from
pixels, so nearly 0 to the model."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in an input: its corner there, and the size that it has there, in whole pixels."""

    picture_width: int
    picture_height: int
    left: int
    top: int
    width: int
    height: int

    @property
    def across(self) -> float:
        """Pixels of the input a pixel of the picture, from left to right."""
        return self.width / self.picture_width

    @property
    def down(self) -> float:
        """As `across`, from top to bottom; under letterbox they differ by the rounding to whole pixels alone."""
        return self.height / self.picture_height

    def in_picture(self, boxes_yxyx_px: Boxes) -> Boxes:
        """N x 4 (top, left, bottom, right) in pixels of the input -> in those of the picture, clipped to it."""
        width, height = self.picture_width, self.picture_height
        origin = np.array([self.top, self.left] * 2, np.float32)
        scale = np.array([height / self.height, width / self.width] * 2, np.float32)
        far = np.array([height, width] * 2, np.float32)
        return np.asarray(np.minimum(np.maximum((boxes_yxyx_px - origin) * scale, 0), far), np.float32)


@dataclass(frozen=True, slots=True)
class InputSize:
    """The size of a model's input in pixels, and how pictures come to it."""

    width: int
    height: int
    resize: Resize = "stretch"

    def placement(self, width: int, height: int) -> Placement:
        """Where a picture of `width` x `height` pixels lies.

        A letterboxed one lies in the middle, as in YOLO: mirrored in the training it lies where it lay before. Its
        shorter side has at least a pixel, however long it is.
        """
        if self.resize == "stretch":
            return Placement(width, height, 0, 0, self.width, self.height)
        # Whole numbers, rounded half up: TensorFlow's side comes to the same ones.
        if self.width * height <= self.height * width:
            inner = self.width, max(1, (2 * height * self.width + width) // (2 * width))
        else:
            inner = max(1, (2 * width * self.height + height) // (2 * height)), self.height
        return Placement(width, height, (self.width - inner[0]) // 2, (self.height - inner[1]) // 2, *inner)


def resized(rgb: Pixels, size: InputSize) -> Pixels:
    """The picture as the model takes it, `size.height` x `size.width` x 3."""
    return placed(rgb, size, size.placement(rgb.shape[1], rgb.shape[0]))


def placed(rgb: Pixels, size: InputSize, place: Placement) -> Pixels:
    """As `resized`, for a picture whose pixels may be fewer than those that `place` was made for."""
    inner = stretched(rgb, place.width, place.height)
    if (place.width, place.height) == (size.width, size.height):
        return inner
    whole = np.full((size.height, size.width, 3), GREY, np.uint8)
    whole[place.top : place.top + place.height, place.left : place.left + place.width] = inner
    return whole


def stretched(rgb: Pixels, width: int, height: int) -> Pixels:
    """The whole picture at `width` x `height`, its aspect ratio given up; bilinear."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def letterboxed(rgb: Pixels, width: int, height: int) -> tuple[Pixels, Placement]:
    """The whole picture in the middle of `width` x `height`, its aspect ratio kept, and where it lies; bilinear."""
    size = InputSize(width, height, "letterbox")
    place = size.placement(rgb.shape[1], rgb.shape[0])
    return placed(rgb, size, place), place


def normalised(rgb_u8: Pixels, mean_rgb: Triple, std_rgb: Triple) -> npt.NDArray[np.float32]:
    """(pixel - mean) / std a channel; all three in 0 to 255. Takes one picture or a batch of them."""
    rows = rgb_u8.reshape(-1, rgb_u8.shape[-2], 3)
    if not rows.size:
        return rows.reshape(rgb_u8.shape).astype(np.float32)
    return np.asarray(cv2.LUT(rows, pixel_values(mean_rgb, std_rgb)[None]), np.float32).reshape(rgb_u8.shape)


@lru_cache(maxsize=16)
def pixel_values(mean_rgb: Triple, std_rgb: Triple) -> npt.NDArray[np.float32]:
    """256 x 3: what `normalised` makes of each value of red, green and blue; a look-up is five times as quick."""
    mean, std = (np.asarray(three, np.float32) for three in (mean_rgb, std_rgb))
    values = np.asarray((np.arange(256, dtype=np.float32)[:, None] - mean) / std, np.float32)
    values.flags.writeable = False
    return values
