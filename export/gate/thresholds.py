"""From which score on boxes of a label are shown: chosen on validation, with the file that is deployed."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np

from vigie.bundle import ThresholdFacts
from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD, Evaluation
from vigie.training.evaluating.metrics.bootstrap import RESAMPLES, draws
from vigie.training.evaluating.metrics.matching import IOU_50, Floats, LabelMatches
from vigie.training.evaluating.metrics.thresholds import ThresholdCurve

BEST_F1 = "best F1"
NOT_REACHED = " is not reached by any threshold"

_CONFIDENCE = 0.95
_NUMBERS_AT_ONCE = 4_000_000  # in an array of resamples x detections

_Places: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]


def choose_thresholds(
    evaluation: Evaluation, *, precision: float | None = None, general: float = 0.5, resamples: int = RESAMPLES
) -> dict[str, ThresholdFacts]:
    """Of each label the threshold with the highest F1, or the lowest one that reaches a `precision`.

    A label without true boxes, or of which nothing is found, has no entry: the general threshold holds for it. Where
    no threshold reaches the precision, `chosen_by` says so, and the threshold is the general one.

    The interval tells where the choice lies on 95 % of the resampled sets of pictures; one on which no threshold
    would do counts as 1.
    """
    chosen = {}
    for (label, curve), matches in zip(evaluation.analysis.thresholds.items(), evaluation.matches, strict=True):
        if curve is None or not len(curve.score):
            continue
        facts = _chosen(curve, matches, evaluation.pictures, precision, general, resamples)
        if facts is not None:
            chosen[label] = facts
    return chosen


def thresholds_of(chosen: Mapping[str, ThresholdFacts]) -> dict[str, float]:
    """What the manifest's `thresholds` holds."""
    return {label: facts.threshold for label, facts in chosen.items()}


def _chosen(
    curve: ThresholdCurve,
    matches: LabelMatches,
    pictures: int,
    precision: float | None,
    general: float,
    resamples: int,
) -> ThresholdFacts | None:
    place = _place(curve, precision)
    if place is None and precision is None:
        return None  # nothing was found rightly at any threshold
    threshold = general if place is None else float(_thresholds(curve.score)[place])
    drawn = _resampled(matches, pictures, precision, resamples)
    low, high = np.quantile(drawn, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    point = curve.at(threshold)
    shows_any = bool((curve.score >= threshold).any())
    return ThresholdFacts(
        threshold=threshold,
        low=min(float(low), threshold),
        high=max(float(high), threshold),
        chosen_by=_said(precision, reached=place is not None),
        precision=point.precision if shows_any else None,
        recall=point.recall,
        boxes=matches.count,
    )


def _said(precision: float | None, *, reached: bool) -> str:
    if precision is None:
        return BEST_F1
    return f"precision {precision:.2f}" + ("" if reached else NOT_REACHED)


def _place(curve: ThresholdCurve, precision: float | None) -> int | None:
    """The row of the curve; None where none does what is asked."""
    if precision is None:
        return int(curve.f1.argmax()) if curve.f1.max() > 0 else None
    reached = np.flatnonzero(curve.precision >= precision)
    return int(reached[-1]) if reached.size else None


def _thresholds(score: Floats) -> Floats:
    """Of distinct scores, highest first, thresholds that each of them passes and the next does not.

    Halfway between the two: neither a runtime that computes a little otherwise nor rounding takes the last one away.
    """
    below = np.append(score[1:], EVALUATION_SCORE_THRESHOLD)
    return np.asarray(np.minimum(score, (score + below) / 2))


def _resampled(matches: LabelMatches, pictures: int, precision: float | None, resamples: int) -> Floats:
    """The threshold that would be chosen on each resample; 1 where there is none."""
    ends = np.flatnonzero(np.append(matches.score[1:] != matches.score[:-1], True))  # equal scores pass together
    thresholds = np.append(_thresholds(matches.score[ends]), 1.0)
    parts = [thresholds[places] for places in _places(matches, ends, pictures, precision, resamples)]
    return np.concatenate(parts)


def _places(
    matches: LabelMatches, ends: _Places, pictures: int, precision: float | None, resamples: int
) -> Iterator[_Places]:
    """Of some resamples at a time the place in `ends` that is chosen, one past its last where nothing is."""
    truths = np.bincount(matches.truth_picture[~matches.truth_ignored[0]], minlength=pictures).astype(np.float64)
    at_once = max(1, _NUMBERS_AT_ONCE // max(pictures, len(matches.score)))
    for weights in draws(pictures, resamples, at_once=at_once):
        drawn = weights[:, matches.picture]
        shown = np.cumsum(drawn, axis=1)[:, ends]
        right = np.cumsum(drawn * matches.found[0, IOU_50], axis=1)[:, ends]
        if precision is None:
            f1 = 2 * right / np.maximum(shown + (weights @ truths)[:, None], 1)
            yield np.where(f1.max(axis=1) > 0, f1.argmax(axis=1), len(ends))
        else:
            reached = (right / np.maximum(shown, 1) >= precision) & (shown > 0)
            last = len(ends) - 1 - reached[:, ::-1].argmax(axis=1)
            yield np.where(reached.any(axis=1), last, len(ends))
