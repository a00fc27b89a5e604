"""Where a detector is weak: by the size of boxes as the model sees them, and by how crowded a picture is."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vigie.domain import Box
from vigie.resizing import InputSize
from vigie.training.evaluating.coco import curves
from vigie.training.evaluating.metrics.matching import IOU_50, PictureResult, Slice, match

Size = tuple[int, int]
"""Width and height in pixels."""

_SIDES_PX = (0, 8, 16, 32, 64, 128, math.inf)
_CROWDS = ((1, 1), (2, 4), (5, 9), (10, None))


@dataclass(frozen=True, slots=True)
class SliceNumbers:
    """Means over the labels with true boxes in the slice; None without any. `recall50` with 100 detections a label."""

    name: str
    boxes: int
    pictures: int
    ap50: float | None
    recall50: float | None


def by_size(
    results: Sequence[PictureResult], labels: Sequence[str], *, sizes: Sequence[Size], input_size: InputSize
) -> list[SliceNumbers]:
    """By the side of a square of the box's area, in pixels at the input that a picture of `sizes` comes to.

    As with COCO's areas, true boxes of other slices are neither asked for nor counted as false when they are found.
    """
    places = [input_size.placement(width, height) for width, height in sizes]
    factors = [place.across * place.down for place in places]

    def side_px(picture: int, box: Box) -> float:
        return math.sqrt(box.area * factors[picture])

    # `match` takes both ends into a slice; the number just below the next one's start makes them half open.
    parts = [
        Slice(_named(low, high), low, math.nextafter(high, 0) if math.isfinite(high) else high)
        for low, high in itertools.pairwise(_SIDES_PX)
    ]
    matches = match(results, labels, slices=parts, size_of=side_px)
    found = []
    for number, part in enumerate(parts):
        counts = [int(np.count_nonzero(~of_label.truth_ignored[number])) for of_label in matches]
        held = [of_label.truth_picture[~of_label.truth_ignored[number]] for of_label in matches]
        numbers = [curves(of_label, number) for of_label, count in zip(matches, counts, strict=True) if count]
        found.append(
            SliceNumbers(
                name=part.name,
                boxes=sum(counts),
                pictures=len(np.unique(np.concatenate(held))),
                ap50=_mean([float(one.precision[IOU_50].mean()) for one in numbers]),
                recall50=_mean([float(one.recall[IOU_50]) for one in numbers]),
            )
        )
    return found


def by_crowding(results: Sequence[PictureResult], labels: Sequence[str]) -> list[SliceNumbers]:
    """By the number of true boxes on the picture; pictures without any stand in no slice."""
    found = []
    for low, high in _CROWDS:
        part = [one for one in results if low <= len(one.truth) and (high is None or len(one.truth) <= high)]
        matches = [of_label for of_label in match(part, labels) if of_label.count]
        numbers = [curves(of_label, 0) for of_label in matches]
        found.append(
            SliceNumbers(
                name=f"{low} to {high} boxes"
                if high not in {None, low}
                else f"{low} box"
                if high
                else f"{low} or more",
                boxes=sum(of_label.count for of_label in matches),
                pictures=len(part),
                ap50=_mean([float(one.precision[IOU_50].mean()) for one in numbers]),
                recall50=_mean([float(one.recall[IOU_50]) for one in numbers]),
            )
        )
    return found


def _named(low: float, high: float) -> str:
    if low == 0:
        return f"under {high:.0f} px"
    return f"{low:.0f} to {high:.0f} px" if math.isfinite(high) else f"{low:.0f} px and over"


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
