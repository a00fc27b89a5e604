"""From a picture to the input of a model: one way for the checkpoint, every exported file and every runtime."""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vigie.pictures import Pixels

Triple: TypeAlias = tuple[float, float, float]
"""One number a channel: red, green, blue."""


def stretched(rgb: Pixels, width: int, height: int) -> Pixels:
    """The whole picture at `width` x `height`, its aspect ratio given up; bilinear."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def normalised(rgb_u8: Pixels, mean_rgb: Triple, std_rgb: Triple) -> npt.NDArray[np.float32]:
    """(pixel - mean) / std a channel; all three in 0 to 255. Takes one picture or a batch of them."""
    mean = np.asarray(mean_rgb, np.float32)
    std = np.asarray(std_rgb, np.float32)
    return (rgb_u8.astype(np.float32) - mean) / std
