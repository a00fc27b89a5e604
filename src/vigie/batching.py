"""Pictures of any sizes through a model that takes batches of one size: the loop that all detectors share."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vigie.domain import Detection
from vigie.errors import BadPicture
from vigie.pictures import Picture, Pixels
from vigie.resizing import InputSize, placed

Output = TypeVar("Output")


def detect_in_batches(
    pictures: Sequence[Picture],
    size: InputSize,
    batch: int,
    run: Callable[[npt.NDArray[np.uint8]], Iterable[Output]],
    decode: Callable[[Output, Picture], list[Detection]],
) -> list[list[Detection] | BadPicture]:
    """One entry a picture (see `vigie.ports.Detector`).

    `run` takes at most `batch` inputs (B x height x width x 3) and gives what it found on each; `decode` makes
    detections of that, in pixels of the original picture.
    """
    entries: list[list[Detection] | BadPicture] = []
    for start in range(0, len(pictures), batch):
        some = pictures[start : start + batch]
        inputs = [_input(picture, size) for picture in some]
        good = [pixels for pixels in inputs if not isinstance(pixels, BadPicture)]
        outputs = iter(run(good[0][None] if len(good) == 1 else np.stack(good)) if good else ())
        for picture, pixels in zip(some, inputs, strict=True):
            entries.append(pixels if isinstance(pixels, BadPicture) else decode(next(outputs), picture))
    return entries


def _input(picture: Picture, size: InputSize) -> Pixels | BadPicture:
    try:
        if not (picture.width and picture.height):
            return BadPicture(f"the picture has no pixels: it is {picture.width} px wide and {picture.height} px high")
        place = size.placement(picture.width, picture.height)
        return placed(picture.rgb_for(place.width, place.height), size, place)
    except BadPicture as error:
        return error
