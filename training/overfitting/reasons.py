"""Which part of a model does not learn, from what was measured while it tried to learn a few pictures by heart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vigie.experiment import NetworkPart, Schedule
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.verdicts import Kind

_FLAT = 0.7  # of a loss: what it has at the end, of what it had
_COSTLY = 0.05  # mAP50 that a kind of error takes
_NAMED = 5
_COLUMNS = {"classification": 2, "box": 3}


@dataclass(frozen=True, slots=True)
class BoxFit:
    """A true box and the anchors: how many answer for it, and the highest IoU with any."""

    name: str
    anchors: int
    best_iou: float


def reasons(
    rows: npt.NDArray[np.float32],
    gradients: Mapping[NetworkPart, float],
    fits: Sequence[BoxFit],
    evaluation: Evaluation,
    schedule: Schedule,
    positive_iou: float,
) -> list[str]:
    """One a fault, the likeliest cause first.

    `rows` are the steps: step, total, class and box loss; `gradients` are the norms of the parts' at the first.
    """
    return [
        *_still(gradients, schedule.frozen),
        *_without_anchors(fits, positive_iou),
        *_flat(rows),
        *_errors(evaluation),
    ] or ["every part learns, but slowly: give it more minutes"]


def _still(gradients: Mapping[NetworkPart, float], frozen: Sequence[NetworkPart]) -> list[str]:
    return [
        f"the {part} gets no gradient: " + ("training.frozen holds it" if part in frozen else "no loss depends on it")
        for part, norm in gradients.items()
        if norm == 0
    ]


def _without_anchors(fits: Sequence[BoxFit], positive_iou: float) -> list[str]:
    told = []
    for what, found in (
        ("no anchor answers for", [fit for fit in fits if not fit.anchors]),
        (
            f"no anchor overlaps by {positive_iou:g} or more, so one alone answers for each of",
            [fit for fit in fits if fit.anchors and fit.best_iou < positive_iou],
        ),
    ):
        if found:
            worst = sorted(found, key=lambda fit: fit.best_iou)[:_NAMED]
            named = "; ".join(f"{fit.name}, best IoU {fit.best_iou:.2f}" for fit in worst)
            told.append(
                f"{what} {len(found)} of {len(fits)} boxes ({named}): take model.anchors auto, a level of finer stride "
                f"or a larger input"
            )
    return told


def _flat(rows: npt.NDArray[np.float32]) -> list[str]:
    few = max(1, len(rows) // 10)
    told = []
    for name, column in _COLUMNS.items():
        first, last = float(rows[:few, column].mean()), float(rows[-few:, column].mean())
        if not last < _FLAT * first:
            told.append(f"the {name} loss is flat: {first:.3g} at the start, {last:.3g} at the end")
    return told


def _errors(evaluation: Evaluation) -> list[str]:
    tide = evaluation.analysis.tide
    if tide is None:
        return []
    meanings = {
        Kind.CLS: "boxes are right but classes are confused",
        Kind.LOC: "objects are found but boxes are off",
        Kind.DUPE: "objects are found several times",
        Kind.BKG: "background is taken for objects",
        Kind.MISS: "objects are not found at all",
    }
    costs = sorted(((tide.d_ap[kind], kind) for kind in meanings), reverse=True)
    return [
        f"{meanings[kind]}: {tide.count[kind]} of this kind cost {cost:.2f} of mAP50"
        for cost, kind in costs
        if cost > _COSTLY
    ]
