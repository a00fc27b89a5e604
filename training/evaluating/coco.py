"""COCO's and VOC's average precision and COCO's average recall, counted as pycocotools counts.

The tests hold pycocotools beside it: the difference is under 1e-9. It is not the engine, because all other measures
and the bootstrap need the matching itself, see `vigie.training.evaluating.metrics.matching`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vigie.training.evaluating.metrics.matching import (
    COCO_AREAS,
    IOU_50,
    IOU_THRESHOLDS,
    MOST_DETECTIONS,
    Flags,
    Floats,
    LabelMatches,
)

TWELVE = (
    "mAP", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""COCO's summary in its order: average precision over IoU .5 to .95, at .5, at .75, of areas under 32**2, up to 96**2
and above pixels of the original; average recall with 1, 10 and 100 detections a picture, and by area."""

RECALLS: Floats = np.linspace(0, 1, 101)
_IOU_75 = 5
_ALL_AREAS = 0
_FEW_DETECTIONS = (1, 10)
_NOTHING_TO_FIND = -1.0


@dataclass(frozen=True, slots=True)
class CocoNumbers:
    """`precision` and `scores` are IoU thresholds x RECALLS x labels, for all areas and 100 detections a picture.

    `precision` is -1 for a label that has no true box; `scores` are those from which on a recall is reached.
    `recall` is IoU thresholds x labels, that of all 100 detections; -1 where there is no true box.
    `voc_ap50` is a number a label: the area under the whole curve, every point of it (VOC 2010 and later).
    """

    summary: dict[str, float | None]
    precision: Floats
    scores: Floats
    recall: Floats
    voc_ap50: tuple[float | None, ...]

    def average_precision(self, label: int) -> float | None:
        """Over IoU .5 to .95; None without a true box."""
        return _mean(self.precision[:, :, label])

    def average_precision_50(self, label: int) -> float | None:
        return _mean(self.precision[IOU_50, :, label])

    def average_recall(self, label: int) -> float | None:
        """Over IoU .5 to .95, with 100 detections a picture; None without a true box."""
        return _mean(self.recall[:, label])

    def curve_50(self, label: int) -> tuple[Floats, Floats]:
        """Precision and score at each of RECALLS, at IoU .5."""
        return self.precision[IOU_50, :, label], self.scores[IOU_50, :, label]


def coco_numbers(matches: Sequence[LabelMatches]) -> CocoNumbers:
    """`matches` are those of all labels, in COCO_AREAS."""
    by_area = [[curves(found, area) for found in matches] for area in range(len(COCO_AREAS))]
    precision = [np.stack([found.precision for found in area], axis=-1) for area in by_area]
    recall = [np.stack([found.recall for found in area], axis=-1) for area in by_area]
    few = [np.stack([curves(found, _ALL_AREAS, most).recall for found in matches], axis=-1) for most in _FEW_DETECTIONS]
    values = [
        _mean(precision[_ALL_AREAS]),
        _mean(precision[_ALL_AREAS][IOU_50]),
        _mean(precision[_ALL_AREAS][_IOU_75]),
        *(_mean(area) for area in precision[1:]),
        *(_mean(found) for found in few),
        *(_mean(area) for area in recall),
    ]
    return CocoNumbers(
        summary=dict(zip(TWELVE, values, strict=True)),
        precision=precision[_ALL_AREAS],
        scores=np.stack([found.scores for found in by_area[_ALL_AREAS]], axis=-1),
        recall=recall[_ALL_AREAS],
        voc_ap50=tuple(voc_average_precision(found) for found in matches),
    )


def voc_average_precision(matches: LabelMatches) -> float | None:
    """The area under precision over recall at IoU .5, all points; None without a true box.

    Everingham et al., The PASCAL VOC Challenge 2012 development kit, 3.4.1; before 2010 it was 11 points.
    The matching is COCO's: VOC's own lets a detection look at its best box only, also when that is taken.
    """
    if not matches.count:
        return None
    right = np.cumsum(matches.found[_ALL_AREAS, IOU_50])
    precision = _from_the_right(right / np.arange(1, len(right) + 1))
    steps = np.diff(np.concatenate([[0], right])) / matches.count
    return float(steps @ precision)


@dataclass(frozen=True, slots=True)
class Curves:
    """Of one label in one slice: IoU thresholds x RECALLS, and `recall` a threshold; -1 when nothing is to find."""

    precision: Floats
    scores: Floats
    recall: Floats


def curves(matches: LabelMatches, area: int, most: int = MOST_DETECTIONS) -> Curves:
    thresholds = len(IOU_THRESHOLDS)
    truths = int(np.count_nonzero(~matches.truth_ignored[area]))
    if not truths:
        nothing = np.full((thresholds, len(RECALLS)), _NOTHING_TO_FIND)
        return Curves(nothing, nothing, np.full(thresholds, _NOTHING_TO_FIND))
    counted = matches.rank < most
    score = matches.score[counted]
    precision, scores = np.zeros((2, thresholds, len(RECALLS)))
    recall = np.zeros(thresholds)
    for threshold in range(thresholds):
        found, ignored = (flags[area, threshold, counted] for flags in (matches.found, matches.ignored))
        right, wrong = _counts(found, ignored)
        reached = right / truths
        # The spacing is pycocotools' guard against 0 / 0, where the first detections are ignored ones.
        curve = _from_the_right(right / (right + wrong + np.spacing(1)))
        places = np.searchsorted(reached, RECALLS, side="left")
        places = places[places < len(reached)]
        precision[threshold, : len(places)] = curve[places]
        scores[threshold, : len(places)] = score[places]
        recall[threshold] = reached[-1] if len(reached) else 0.0
    return Curves(precision, scores, recall)


def average_precision_of(right: Flags, truths: int) -> float:
    """COCO's mean over 101 recalls, of detections that are right or wrong, best first."""
    correct = np.cumsum(right, dtype=np.float64)
    curve = _from_the_right(correct / np.arange(1, len(correct) + 1))
    places = np.searchsorted(correct / truths, RECALLS, side="left")
    return float(curve[places[places < len(correct)]].sum() / len(RECALLS))


def _counts(found: Flags, ignored: Flags) -> tuple[Floats, Floats]:
    """Right and wrong ones up to each detection."""
    return np.cumsum(found & ~ignored, dtype=np.float64), np.cumsum(~found & ~ignored, dtype=np.float64)


def _from_the_right(precision: Floats) -> Floats:
    """The highest precision at this or any higher recall."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def _mean(values: Floats) -> float | None:
    known = values[values > _NOTHING_TO_FIND]
    return float(known.mean()) if known.size else None
