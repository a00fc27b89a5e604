"""What each detection is: right, or which of TIDE's kinds of error.

Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020 (arXiv:2008.08115),
with the paper's thresholds, and in the order in which its toolbox asks: location, class, duplicate, background, both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from vigie.training.evaluating.metrics.matching import Floats, LabelMatches, PictureResult, overlaps

FOREGROUND_IOU = 0.5
BACKGROUND_IOU = 0.1


class Kind(StrEnum):
    """Of a detection; MISS is of a true box, which no detection found or would have found but for a CLS or LOC."""

    RIGHT = "right"
    CLS = "Cls"
    LOC = "Loc"
    BOTH = "Both"
    DUPE = "Dupe"
    BKG = "Bkg"
    MISS = "Miss"


@dataclass(frozen=True, slots=True)
class Verdict:
    """On the detection at `place` in the picture's `found`. `truth` is the true box that it is about, by its place.

    `truth` is -1 and says nothing for BKG and BOTH. `iou` is the overlap with that box, or else the highest with any.
    """

    place: int
    kind: Kind
    truth: int
    iou: float


@dataclass(frozen=True, slots=True)
class PictureVerdicts:
    """`unfound` are the true boxes without a right detection; `missed` those of them that are a MISS."""

    verdicts: tuple[Verdict, ...]
    unfound: tuple[int, ...]
    missed: tuple[int, ...]


def verdicts(
    results: Sequence[PictureResult], labels: Sequence[str], matches: Sequence[LabelMatches]
) -> list[PictureVerdicts]:
    """One entry a picture; `matches` are those of `results`. What COCO does not count has no verdict."""
    chosen: list[dict[int, int]] = [{} for _ in results]
    for found in matches:
        for picture, place, truth in zip(found.picture, found.place, found.truth, strict=True):
            chosen[picture][int(place)] = int(truth)
    return [_of_picture(result, labels, choices) for result, choices in zip(results, chosen, strict=True)]


def _of_picture(result: PictureResult, labels: Sequence[str], choices: dict[int, int]) -> PictureVerdicts:
    places = sorted(choices)
    overlap = overlaps([result.found[place].box for place in places], [marked.box for marked in result.truth])
    counted = np.array([marked.label in labels for marked in result.truth], bool)
    overlap = overlap * counted
    judged = []
    for place, iou in zip(places, overlap, strict=True):
        label = result.found[place].label
        same = np.array([marked.label == label for marked in result.truth], bool)
        judged.append(_verdict(place, choices[place], iou, same))
    found = {one.truth for one in judged if one.kind is Kind.RIGHT}
    covered = {one.truth for one in judged if one.kind in {Kind.CLS, Kind.LOC}}
    unfound = tuple(number for number in np.flatnonzero(counted).tolist() if number not in found)
    return PictureVerdicts(tuple(judged), unfound, tuple(number for number in unfound if number not in covered))


def _verdict(place: int, chosen: int, iou: Floats, same: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Verdict:
    if chosen >= 0:
        return Verdict(place, Kind.RIGHT, chosen, float(iou[chosen]))
    if not iou.size:
        return Verdict(place, Kind.BKG, -1, 0.0)
    own, other = iou * same, iou * ~same
    nearest, nearest_other = int(own.argmax()), int(other.argmax())
    if BACKGROUND_IOU <= own[nearest] < FOREGROUND_IOU:
        return Verdict(place, Kind.LOC, nearest, float(own[nearest]))
    if other[nearest_other] >= FOREGROUND_IOU:
        return Verdict(place, Kind.CLS, nearest_other, float(other[nearest_other]))
    if own[nearest] >= FOREGROUND_IOU:
        return Verdict(place, Kind.DUPE, nearest, float(own[nearest]))
    kind = Kind.BKG if iou.max() <= BACKGROUND_IOU else Kind.BOTH
    return Verdict(place, kind, -1, float(iou.max()))
