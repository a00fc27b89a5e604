"""How far a number may lie from that of other pictures of the same kind: the bootstrap over pictures.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals). A resample draws
as many pictures as there are, with replacement, and all boxes of a picture come with it, because boxes of one picture
are not independent. The matching of a picture is the same in every resample, so only the counting is done again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vigie.training.evaluating.coco import RECALLS
from vigie.training.evaluating.metrics.matching import IOU_50, IOU_THRESHOLDS, Floats, Ints, LabelMatches

RESAMPLES = 1000
_CONFIDENCE = 0.95
_SEED = 0
_CHUNK = 100  # resamples held in memory at once


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value, and where 95 % of the resamples lie."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Of a difference: it is more than the noise of the choice of pictures."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """`ap50` has an entry a label; None where there is no true box."""

    mean_ap: Interval | None
    mean_ap50: Interval | None
    ap50: tuple[Interval | None, ...]


def bootstrap(
    matches: Sequence[LabelMatches], pictures: int, *, resamples: int = RESAMPLES, seed: int = _SEED
) -> Bootstrap:
    """Intervals of mAP, mAP50 and each label's AP50. A resample without true boxes of a label leaves that label out."""
    measured = _measure(matches, np.ones((1, pictures)))
    drawn = _resampled(matches, pictures, resamples, seed)
    return _intervals(measured, drawn)


def no_bootstrap(labels: Sequence[str]) -> Bootstrap:
    """Where it was not asked for: no interval is known."""
    return Bootstrap(None, None, (None,) * len(labels))


def paired_difference(
    ours: Sequence[LabelMatches],
    others: Sequence[LabelMatches],
    pictures: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = _SEED,
) -> Bootstrap:
    """`ours` minus `others`, the same pictures drawn for both: what is hard for both does not blur the difference.

    Both are matched on the same pictures in the same order, and for the same labels.
    """
    if len(ours) != len(others):
        raise ValueError(f"matches of as many labels are compared, got {len(ours)} and {len(others)}")
    whole = np.ones((1, pictures))
    measured = _measure(ours, whole) - _measure(others, whole)
    drawn = _resampled(ours, pictures, resamples, seed) - _resampled(others, pictures, resamples, seed)
    return _intervals(measured, drawn)


def draws(pictures: int, resamples: int, *, seed: int = _SEED, at_once: int = _CHUNK) -> Iterator[Floats]:
    """How often each picture is drawn: `rows x pictures`, the same for the same seed; `at_once` rows at most."""
    rng = np.random.default_rng(seed)
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        yield rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=rows).astype(np.float64)


def weighted_average_precision(matches: LabelMatches, weights: Floats) -> Floats:
    """COCO's average precision where each picture counts as often as its weight says: `rows x IOU_THRESHOLDS`.

    `weights` is `rows x pictures`. NaN where no true box is left. With whole numbers it is what repeating the pictures
    gives, to the last digits, when no two pictures share a score: precision only matters at right detections,
    and copies of one only add points below its last.
    """
    truths = np.bincount(matches.truth_picture[~matches.truth_ignored[0]], minlength=weights.shape[1])
    count = weights @ truths.astype(np.float64)
    counted = np.where(count > 0, count, np.nan)
    of_detection = weights[:, matches.picture]
    shown = np.cumsum(of_detection, axis=1)
    averages = [
        _interpolated(of_detection, shown, np.flatnonzero(matches.found[0, threshold]), counted)
        for threshold in range(len(IOU_THRESHOLDS))
    ]
    return np.stack(averages, axis=1)


def _interpolated(of_detection: Floats, shown: Floats, right_ones: Ints, count: Floats) -> Floats:
    """Mean precision at the 101 recalls: a right detection answers for the recalls between the one before and it."""
    if not len(right_ones):
        return np.where(np.isnan(count), np.nan, 0.0)
    right = np.cumsum(of_detection[:, right_ones], axis=1)
    precision = right / np.maximum(shown[:, right_ones], np.spacing(1))
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # A recall of NaN counts as past the end; the whole row becomes NaN below.
    answered = np.searchsorted(RECALLS, right / count[:, None], side="right")
    before = np.concatenate([np.zeros((len(answered), 1), answered.dtype), answered[:, :-1]], axis=1)
    average = np.einsum("rd,rd->r", highest, answered - before) / len(RECALLS)
    return np.asarray(np.where(np.isnan(count), np.nan, average))


def _resampled(matches: Sequence[LabelMatches], pictures: int, resamples: int, seed: int) -> Floats:
    return np.concatenate([_measure(matches, weights) for weights in draws(pictures, resamples, seed=seed)])


def _measure(matches: Sequence[LabelMatches], weights: Floats) -> Floats:
    """`rows x (mAP, mAP50, AP50 of each label)`, NaN where nothing is to find."""
    by_label = np.stack([weighted_average_precision(found, weights) for found in matches], axis=1)
    ap, ap50 = by_label.mean(axis=2), by_label[:, :, IOU_50]
    return np.concatenate([_known_mean(ap), _known_mean(ap50), ap50], axis=1)


def _known_mean(values: Floats) -> Floats:
    """Of a row's numbers, as a column."""
    known = np.count_nonzero(~np.isnan(values), axis=1)
    total = np.nansum(values, axis=1)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)[:, None]


def _intervals(measured: Floats, drawn: Floats) -> Bootstrap:
    mean_ap, mean_ap50, *ap50 = (
        _interval(float(value), column) for value, column in zip(measured[0], drawn.T, strict=True)
    )
    return Bootstrap(mean_ap, mean_ap50, tuple(ap50))


def _interval(value: float, resampled: Floats) -> Interval | None:
    known = resampled[~np.isnan(resampled)]
    if np.isnan(value) or not known.size:
        return None
    low, high = np.quantile(known, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))
