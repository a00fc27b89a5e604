"""What each kind of error costs: TIDE's dAP (Bolya et al. 2020, arXiv:2008.08115, section 2).

For each kind alone an oracle mends all errors of that kind; dAP is how much the mean AP50 would rise.
CLS and LOC become right detections of their true box, if that is not found already, and the best of several only;
the others of them, and BOTH, DUPE and BKG, vanish; the true boxes of MISS vanish.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vigie.training.evaluating.coco import average_precision_of
from vigie.training.evaluating.metrics.matching import PictureResult
from vigie.training.evaluating.metrics.verdicts import Kind, PictureVerdicts, Verdict

ERRORS = (Kind.CLS, Kind.LOC, Kind.BOTH, Kind.DUPE, Kind.BKG, Kind.MISS)


@dataclass(frozen=True, slots=True)
class Tide:
    """By kind of ERRORS: how many, and dAP in 0 to 1. The six do not add up to what is lacking: errors interact."""

    ap50: float
    count: Mapping[Kind, int]
    d_ap: Mapping[Kind, float]


def tide(results: Sequence[PictureResult], labels: Sequence[str], judged: Sequence[PictureVerdicts]) -> Tide | None:
    """None when there is no true box. `judged` are the verdicts on `results`."""
    truths = dict.fromkeys(labels, 0)
    for result in results:
        for marked in result.truth:
            if marked.label in truths:
                truths[marked.label] += 1
    if not sum(truths.values()):
        return None
    ap50 = _mean_average(results, judged, truths, None)
    return Tide(
        ap50=ap50,
        count={kind: sum(_count(found, kind) for found in judged) for kind in ERRORS},
        d_ap={kind: _mean_average(results, judged, truths, kind) - ap50 for kind in ERRORS},
    )


def _count(judged: PictureVerdicts, kind: Kind) -> int:
    if kind is Kind.MISS:
        return len(judged.missed)
    return sum(one.kind is kind for one in judged.verdicts)


def _mean_average(
    results: Sequence[PictureResult],
    judged: Sequence[PictureVerdicts],
    truths: Mapping[str, int],
    mended: Kind | None,
) -> float:
    """Over the labels with true boxes. A label that has missed all of them is perfect without them."""
    left = dict(truths)
    shown: dict[str, list[tuple[float, bool]]] = {label: [] for label in truths}
    for result, found in zip(results, judged, strict=True):
        if mended is Kind.MISS:
            for number in found.missed:
                left[result.truth[number].label] -= 1
        for label, score, right in _after(result, found, mended):
            shown[label].append((score, right))
    averages = [_average(shown[label], left[label]) for label, count in truths.items() if count]
    return float(np.mean(averages))


def _average(shown: Sequence[tuple[float, bool]], truths: int) -> float:
    if not truths:
        return 1.0
    ordered = sorted(shown, key=lambda one: -one[0])
    return average_precision_of(np.array([right for _, right in ordered], bool), truths)


def _after(result: PictureResult, judged: PictureVerdicts, mended: Kind | None) -> Iterator[tuple[str, float, bool]]:
    """Label, score and whether it is right, of all detections that are left when the errors of a kind are mended."""
    best: dict[int, Verdict] = {}
    for one in judged.verdicts:
        seen = result.found[one.place]
        if one.kind is not mended:
            yield seen.label, seen.score, one.kind is Kind.RIGHT
        elif one.truth in judged.unfound and mended in {Kind.CLS, Kind.LOC}:
            before = best.get(one.truth)
            if before is None or result.found[before.place].score < seen.score:
                best[one.truth] = one
    for number, one in best.items():
        yield result.truth[number].label, result.found[one.place].score, True
