"""Precision, recall and F1 of one label over the score from which on detections count, at IoU .5.

COCO's matching serves every threshold: a detection chooses before those of lower scores, so leaving them out
changes nothing above.
"""

from dataclasses import dataclass

import numpy as np

from vigie.training.evaluating.metrics.matching import IOU_50, Floats, LabelMatches

THRESHOLDS: Floats = np.arange(101) / 100
"""Where curves are drawn and written: 0, .01 ... 1."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What comes of showing only detections with at least this score."""

    score: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """One entry a score that occurs, highest first: all numbers of a row hold when that score is the threshold."""

    score: Floats
    precision: Floats
    recall: Floats
    f1: Floats

    def best(self) -> OperatingPoint | None:
        """The highest F1, and of equal ones that with the highest score; None when nothing was found rightly."""
        if not len(self.f1) or not self.f1.max():
            return None
        return self._point(int(self.f1.argmax()))

    def at(self, score: float) -> OperatingPoint:
        """At a threshold of one's own; where nothing reaches it, precision is 1 and recall 0."""
        counted = int(np.count_nonzero(self.score >= score))
        if not counted:
            return OperatingPoint(score, 1.0, 0.0, 0.0)
        point = self._point(counted - 1)
        return OperatingPoint(score, point.precision, point.recall, point.f1)

    def sampled(self) -> tuple[Floats, Floats, Floats]:
        """Precision, recall and F1 at each of THRESHOLDS; precision is NaN where nothing reaches the threshold."""
        counted = np.searchsorted(-self.score, -THRESHOLDS, side="right")
        precision = np.append(np.nan, self.precision)[counted]
        return precision, np.append(0.0, self.recall)[counted], np.append(0.0, self.f1)[counted]

    def _point(self, place: int) -> OperatingPoint:
        values = (self.score[place], self.precision[place], self.recall[place], self.f1[place])
        return OperatingPoint(*(float(value) for value in values))


def threshold_curve(matches: LabelMatches) -> ThresholdCurve | None:
    """None for a label without true boxes, which has no recall."""
    if not matches.count:
        return None
    right = np.cumsum(matches.found[0, IOU_50])
    # Equal scores pass a threshold together.
    places = np.flatnonzero(np.append(matches.score[1:] != matches.score[:-1], [True] * bool(len(right))))
    right, shown = right[places], places + 1
    precision, recall = right / shown, right / matches.count
    return ThresholdCurve(matches.score[places], precision, recall, 2 * right / (shown + matches.count))
