"""All measures beside COCO's own numbers, of one evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vigie.resizing import InputSize
from vigie.training.evaluating.metrics.bootstrap import RESAMPLES, Bootstrap, Interval, bootstrap, no_bootstrap
from vigie.training.evaluating.metrics.calibration import Calibration, calibration
from vigie.training.evaluating.metrics.confusion import Confusion, confusion
from vigie.training.evaluating.metrics.matching import LabelMatches, PictureResult
from vigie.training.evaluating.metrics.slices import Size, SliceNumbers, by_crowding, by_size
from vigie.training.evaluating.metrics.thresholds import THRESHOLDS, ThresholdCurve, threshold_curve
from vigie.training.evaluating.metrics.tide import Tide, tide
from vigie.training.evaluating.metrics.verdicts import PictureVerdicts

_DIGITS = 6
_CURVE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Analysis:
    """`by_size` is None where the size of the model's input is not known."""

    intervals: Bootstrap
    thresholds: Mapping[str, ThresholdCurve | None]
    confusion: Confusion
    tide: Tide | None
    calibration: Calibration | None
    by_size: tuple[SliceNumbers, ...] | None
    by_crowding: tuple[SliceNumbers, ...]

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = rounded(
            {
                "intervals": intervals_json(self.intervals, tuple(self.thresholds)),
                "best_thresholds": {
                    label: None if curve is None or (best := curve.best()) is None else asdict(best)
                    for label, curve in self.thresholds.items()
                },
                "thresholds": {
                    "score": THRESHOLDS.tolist(),
                    "per_class": {
                        label: None if curve is None else _curve(curve) for label, curve in self.thresholds.items()
                    },
                },
                "confusion": {
                    "score": self.confusion.score,
                    "labels": list(self.confusion.labels),
                    "counts": self.confusion.counts.tolist(),
                },
                "tide": None if self.tide is None else _tide(self.tide),
                "calibration": None if self.calibration is None else asdict(self.calibration),
                "slices": {
                    "size": None if self.by_size is None else [asdict(part) for part in self.by_size],
                    "crowding": [asdict(part) for part in self.by_crowding],
                },
            }
        )
        return values


def analyse(
    results: Sequence[PictureResult],
    labels: Sequence[str],
    matches: Sequence[LabelMatches],
    judged: Sequence[PictureVerdicts],
    *,
    sizes: Sequence[Size],
    input_size: InputSize | None,
    intervals: bool = True,
) -> Analysis:
    """`matches` and `judged` are those of `results`; `sizes` are the pictures'."""
    return Analysis(
        intervals=bootstrap(matches, len(results)) if intervals else no_bootstrap(labels),
        thresholds={label: threshold_curve(found) for label, found in zip(labels, matches, strict=True)},
        confusion=confusion(results, labels),
        tide=tide(results, labels, judged),
        calibration=calibration(matches),
        by_size=None if input_size is None else tuple(by_size(results, labels, sizes=sizes, input_size=input_size)),
        by_crowding=tuple(by_crowding(results, labels)),
    )


def intervals_json(found: Bootstrap, labels: Sequence[str]) -> dict[str, Any]:
    """Of each: value, and low and high of the 95 % interval; None where nothing is to find."""
    return {
        "resamples": RESAMPLES,
        "mAP": _interval(found.mean_ap),
        "mAP50": _interval(found.mean_ap50),
        "AP50": {label: _interval(one) for label, one in zip(labels, found.ap50, strict=True)},
    }


def rounded(values: Any) -> Any:
    """Every float in nested dictionaries and lists, to six digits."""
    if isinstance(values, dict):
        return {name: rounded(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [rounded(value) for value in values]
    return round(values, _DIGITS) if isinstance(values, float) else values


def _interval(found: Interval | None) -> dict[str, float] | None:
    return None if found is None else asdict(found)


def _curve(found: ThresholdCurve) -> dict[str, list[float | None]]:
    """At each of THRESHOLDS, however many scores there are; precision is None where nothing reaches it."""
    precision, recall, f1 = (values.round(_CURVE_DIGITS) for values in found.sampled())
    known = [None if np.isnan(value) else float(value) for value in precision]
    return {"precision": known, "recall": recall.tolist(), "f1": f1.tolist()}


def _tide(found: Tide) -> dict[str, Any]:
    return {kind.value: {"count": found.count[kind], "dAP": found.d_ap[kind]} for kind in found.d_ap}
