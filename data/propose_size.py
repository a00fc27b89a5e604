"""The detector's input and anchors that fit the boxes of a set."""

import math
from collections.abc import Iterator

import numpy as np

from vigie.anchors import AnchorSpec
from vigie.data.doctor.anchor_fit import ENOUGH, MATCH_IOU, fitted, share_matched
from vigie.data.doctor.training_fit import TINY_PX
from vigie.data.propose_facts import Floats, SetFacts

# 8 px is one cell of the finest anchors: the least that can be found at all, so nearly all boxes should have it.
LARGE_ENOUGH = 0.95
# What the model's shape asks of it, and the side of the largest square that two cores train overnight rather than in
# a week: 1.4 s a step of 8 pictures.
STEP_PX = 32
SMALLEST_SIDE, LARGEST_SIDE = 192, 512
# A picture stretched by less than a third looks like itself.
_ALIKE = 1.35
_MOST_ALIKE = 0.8  # of the pictures
_FAR_FROM_SQUARE = 1.2
_WIDEST = 16 / 9

Size = tuple[int, int]


def input_size(facts: SetFacts) -> tuple[Size, str]:
    """Width and height in pixels, and why."""
    aspect, shape = _aspect(facts.aspects)
    for size in _ladder(aspect):
        enough = _share_large(facts.boxes, size)
        if enough >= LARGE_ENOUGH:
            return size, (
                f"{size[0]}x{size[1]}: the smallest at which {LARGE_ENOUGH:.0%} of the boxes are at least "
                f"{TINY_PX:g} px wide and high, here {enough:.1%}; {shape}"
            )
    return size, (
        f"{size[0]}x{size[1]}: the largest that is proposed for training without a GPU; {1 - enough:.1%} of the boxes "
        f"stay under {TINY_PX:g} px wide or high and will hardly be found; {shape}"
    )


def _aspect(aspects: Floats) -> tuple[float, str]:
    """Width / height of the input."""
    median = float(np.exp(np.median(np.log(aspects))))
    alike = float((np.abs(np.log(aspects / median)) <= math.log(_ALIKE)).mean())
    if abs(math.log(median)) < math.log(_FAR_FROM_SQUARE):
        return 1.0, "square, as most pictures nearly are"
    if alike < _MOST_ALIKE:
        return 1.0, "square, because the pictures have many shapes"
    kept = min(max(median, 1 / _WIDEST), _WIDEST)
    lying = "lie" if median > 1 else "stand"
    return kept, f"not square, because {alike:.0%} of the pictures {lying} at about {median:.2f} to 1"


def _ladder(aspect: float) -> Iterator[Size]:
    """Sizes of that aspect, from small to large, with as many pixels as the squares from smallest to largest."""
    longer_by = max(aspect, 1 / aspect)
    for shorter in range(STEP_PX, LARGEST_SIDE + 1, STEP_PX):
        longer = round(shorter * longer_by / STEP_PX) * STEP_PX
        if SMALLEST_SIDE**2 <= shorter * longer <= LARGEST_SIDE**2:
            yield (longer, shorter) if aspect > 1 else (shorter, longer)


def _share_large(boxes: Floats, size: Size) -> float:
    sides = (boxes[:, 2:] - boxes[:, :2]) * size
    return float((sides.min(axis=1) >= TINY_PX).mean())


def anchors(facts: SetFacts, size: Size) -> tuple[AnchorSpec, str]:
    """The usual anchors where they match the boxes, else those that do with the fewest."""
    usual = AnchorSpec()
    boxes = facts.boxes * (*size, *size)
    share = share_matched(boxes, usual, *size)
    at = f"of the boxes at IoU {MATCH_IOU}"
    if share >= ENOUGH:
        return usual, f"the usual ones, which match {share:.1%} {at}"
    better = fitted(boxes, usual, *size)
    better_share = share_matched(boxes, better, *size)
    if better_share <= share:
        return usual, f"the usual ones, which match {share:.1%} {at}; no others of their kind match more"
    return better, f"made for these boxes: they match {better_share:.1%} {at}, the usual ones {share:.1%}"
