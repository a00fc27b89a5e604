"""Boxes at the size they are trained at: are they large enough, and do the anchors match them?"""

import math

import numpy as np
import numpy.typing as npt

from vigie.anchors import AnchorSpec
from vigie.data.doctor.anchor_fit import ENOUGH, MATCH_IOU, SHAPES, fitted, k_means_shapes, proposal, share_matched
from vigie.data.doctor.findings import WHOLE_SET, Finding, finding
from vigie.data.doctor.reading import DataSet
from vigie.experiment import Anchors
from vigie.resizing import InputSize

TINY_PX = 8.0
_SAVED_SHARE = 0.9  # of the tiny ones, by the input size that is proposed
_LARGEST_INPUT = 1536
_SIZE_STEP = 32


def check_training_fit(data: DataSet, input_size: InputSize, anchors: Anchors) -> list[Finding]:
    """`input_size` is that of the detector; anchors that are auto are those that the boxes of the set would get."""
    places, boxes = _resized(data, input_size)
    if not len(boxes):
        return []
    sides = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    size = input_size.width, input_size.height
    return _tiny(places, sides, size) + _unmatched(boxes, size, anchors)


def _resized(data: DataSet, input_size: InputSize) -> tuple[list[tuple[str, int]], npt.NDArray[np.float64]]:
    """File and object, and N x 4 left, top, right, bottom in pixels of the detector's input."""
    places: list[tuple[str, int]] = []
    boxes: list[tuple[float, float, float, float]] = []
    for pair in data.pairs:
        if pair.size is None:
            continue
        place = input_size.placement(*pair.size)
        x, y, across, down = place.left, place.top, place.across, place.down
        for it in pair.good_objects():
            places.append((pair.labels.name, it.number))
            box = it.box
            boxes.append((x + box.left * across, y + box.top * down, x + box.right * across, y + box.bottom * down))
    return places, np.array(boxes, np.float64).reshape(-1, 4)


def _tiny(places: list[tuple[str, int]], sides: npt.NDArray[np.float64], size: tuple[int, int]) -> list[Finding]:
    tiny = np.flatnonzero(sides < TINY_PX)
    if not len(tiny):
        return []
    at = f"at {size[0]}x{size[1]}"
    repair = _larger_input(sides[tiny], size)
    findings = [
        finding("box-tiny", places[row][0], f"its shorter side has {sides[row]:.1f} px {at}", number=places[row][1])
        for row in tiny.tolist()
    ]
    found = f"{len(tiny)} of {len(sides)} boxes ({len(tiny) / len(sides):.1%}) have a side under {TINY_PX:g} px {at}"
    return [*findings, finding("boxes-tiny", WHOLE_SET, found, repair=repair)]


def _larger_input(tiny_sides: npt.NDArray[np.float64], size: tuple[int, int]) -> str:
    needed = TINY_PX / float(np.quantile(tiny_sides, 1 - _SAVED_SHARE))
    width, height = (_SIZE_STEP * math.ceil(side * needed / _SIZE_STEP) for side in size)
    if max(width, height) > _LARGEST_INPUT:
        return (
            f"an input of {width}x{height} would save {_SAVED_SHARE:.0%} of them, which is over the limit of "
            f"{_LARGEST_INPUT}: cut the pictures into overlapping parts"
        )
    return f"an input of {width}x{height} saves {_SAVED_SHARE:.0%} of them: set model.input_width and input_height"


def _unmatched(boxes: npt.NDArray[np.float64], size: tuple[int, int], asked: Anchors) -> list[Finding]:
    anchors = fitted(boxes, AnchorSpec(), *size) if asked == "auto" else asked
    share = share_matched(boxes, anchors, *size)
    if share >= ENOUGH:
        return []
    shapes = k_means_shapes(boxes[:, 2:] - boxes[:, :2], SHAPES)
    better, better_share = (anchors, share) if asked == "auto" else proposal(boxes, anchors, shapes, *size)
    which = "the anchors that fit the boxes best" if asked == "auto" else "the anchors"
    found = (
        f"{which} match {share:.1%} of {len(boxes)} boxes at IoU {MATCH_IOU}, under {ENOUGH:.0%}; "
        f"the boxes' own shapes at {size[0]}x{size[1]}, by k-means: {', '.join(f'{w:.0f}x{h:.0f}' for w, h in shapes)}"
    )
    if better_share <= share:
        return [
            finding("anchors-miss", WHOLE_SET, found, repair="no others of the same kind do better: enlarge the input")
        ]
    ratios = ", ".join(f"{ratio:g}" for ratio in better.aspect_ratios)
    repair = (
        f"set model.anchors to min_level: {better.min_level}, scales: {better.scales}, size: {better.size:g}, "
        f"aspect_ratios: [{ratios}], which match {better_share:.1%}"
    )
    return [finding("anchors-miss", WHOLE_SET, found, repair=repair)]
