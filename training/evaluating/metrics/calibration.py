"""Whether a score of .8 is right eight times of ten: the expected calibration error.

Guo et al., On Calibration of Modern Neural Networks, 2017 (arXiv:1706.04599), section 2: bins of equal width. For
a detector, as Kueppers et al. 2020 (arXiv:2004.13546), right is a detection that COCO's matching counts at IoU .5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vigie.training.evaluating.metrics.matching import IOU_50, LabelMatches

BINS = 15


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Scores above `low` up to `high`; the first bin holds 0 too. Without detections both means are None."""

    low: float
    high: float
    count: int
    score: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """`error` is the mean distance of score and precision, 0 to 1, weighted by the bins' counts."""

    error: float
    bins: tuple[CalibrationBin, ...]


def calibration(matches: Sequence[LabelMatches]) -> Calibration | None:
    """Over all labels and all detections that there are; None without any.

    A detector reports only what passes its own threshold, and most of that has low scores: they weigh accordingly.
    """
    score = np.concatenate([found.score for found in matches])
    right = np.concatenate([found.found[0, IOU_50] for found in matches])
    if not len(score):
        return None
    edges = np.linspace(0, 1, BINS + 1)
    bin_of = np.clip(np.searchsorted(edges, score, side="left") - 1, 0, BINS - 1)
    bins = []
    for number in range(BINS):
        inside = bin_of == number
        count = int(inside.sum())
        means = (float(score[inside].mean()), float(right[inside].mean())) if count else (None, None)
        bins.append(CalibrationBin(float(edges[number]), float(edges[number + 1]), count, *means))
    total = sum(
        one.count * abs(one.score - one.precision)
        for one in bins
        if one.score is not None and one.precision is not None
    )
    return Calibration(total / len(score), tuple(bins))
