"""The errors to look at first: wrong boxes that the detector is sure of, large objects that it does not see.

An evaluation holds names and boxes, no pixels. What is chosen here says where to look, and
`vigie.training.evaluating.reporting.gallery` reads those pictures again.
"""

import heapq
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from vigie.domain import Box, Detection
from vigie.page import Outline
from vigie.training.evaluating.compare import Comparison
from vigie.training.evaluating.evaluation import EvaluatedPicture, Evaluation
from vigie.training.evaluating.metrics.confusion import CONFUSION_SCORE
from vigie.training.evaluating.metrics.tide import ERRORS
from vigie.training.evaluating.metrics.verdicts import Kind, Verdict
from vigie.training.figures.bars import KIND_NAMES

FALSE_KINDS = tuple(kind for kind in ERRORS if kind is not Kind.MISS)
_PER_KIND, _MISSED, _DIFFERENT = 6, 18, 3
_PER_PICTURE = 2
"""A crowded picture does not fill a gallery alone."""
_CONTEXT = 2.5  # times the longer side of the box
_LEAST_PX = 72
_MOST_NAMES = 6


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture of the evaluation by its place, the part of it to show (all of it where None), and what to say."""

    picture: int
    filename: str
    area: Box | None
    outlines: tuple[Outline, ...]
    heading: str
    said: str


def false_boxes(evaluation: Evaluation, per_kind: int = _PER_KIND) -> dict[Kind, list[Shot]]:
    """Of each of TIDE's kinds the false boxes with the highest scores, at most two of a picture."""
    chosen: dict[Kind, list[Shot]] = {}
    for kind in FALSE_KINDS:
        found = (
            (seen.score, -place, one)
            for place, picture in enumerate(evaluation.per_picture)
            for seen, one in _surest(picture, kind)
        )
        best = heapq.nlargest(per_kind, found, key=lambda candidate: candidate[:2])
        if best:
            chosen[kind] = [_false(evaluation.per_picture[-place], -place, one) for _, place, one in best]
    return chosen


def missed_boxes(
    evaluation: Evaluation, most: int = _MISSED, *, thresholds: Mapping[str, float] | None = None
) -> list[Shot]:
    """True boxes that no right box shows from the threshold of their label on, the largest in their picture first.

    At most two of a picture. Without `thresholds` of labels it is the one with the best F1 here.
    """
    thresholds = working_thresholds(evaluation) if thresholds is None else thresholds
    found = (
        (share, -place, number)
        for place, picture in enumerate(evaluation.per_picture)
        for share, number in _largest_missed(picture, thresholds)
    )
    return [
        _missed(evaluation.per_picture[-place], -place, number, thresholds)
        for _, place, number in heapq.nlargest(most, found)
    ]


def random_pictures(evaluation: Evaluation, count: int = 8, seed: int = 0) -> list[Shot]:
    """Whole pictures drawn by lot, the same for the same seed, with what is found from CONFUSION_SCORE on."""
    drawn = random.Random(seed).sample(range(evaluation.pictures), min(count, evaluation.pictures))  # noqa: S311
    return [_whole(evaluation.per_picture[place], place, "") for place in sorted(drawn)]


def differing_pictures(ours: Evaluation, compared: Comparison, most: int = _DIFFERENT) -> list[tuple[Shot, Shot]]:
    """Pictures on which two models differ, ours and the other's, whole: the worst for ours, then the best."""
    places = {picture.filename: place for place, picture in enumerate(ours.per_picture)}
    worst = [one for one in compared.pictures if one.found < one.false][:most]
    best = [one for one in reversed(compared.pictures) if one.found > one.false][:most]
    shots = []
    for one in [*worst, *best]:
        place = places[one.filename]
        shots.append((
            _whole(ours.per_picture[place], place, "this model"),
            _whole(compared.other.per_picture[place], place, "the other"),
        ))  # fmt: skip
    return shots


def _surest(picture: EvaluatedPicture, kind: Kind) -> list[tuple[Detection, Verdict]]:
    found = [(picture.result.found[one.place], one) for one in picture.judged.verdicts if one.kind is kind]
    return heapq.nlargest(_PER_PICTURE, found, key=lambda pair: pair[0].score)


def _false(picture: EvaluatedPicture, place: int, one: Verdict) -> Shot:
    seen = picture.result.found[one.place]
    first = [
        _found(picture, other)
        for other in picture.judged.verdicts
        if one.kind is Kind.DUPE and other.kind is Kind.RIGHT and other.truth == one.truth
    ]
    is_there = picture.result.truth[one.truth].label if one.truth >= 0 else ""
    said = {
        Kind.CLS: f"{seen.label}, but is {is_there}",
        Kind.LOC: f"{seen.label}, overlaps by IoU {one.iou:.2f}",
        Kind.BOTH: f"{seen.label}, overlaps something else by IoU {one.iou:.2f}",
        Kind.DUPE: f"{seen.label}, once more",
        Kind.BKG: f"{seen.label}, but nothing is marked",
    }[one.kind]
    together = [seen.box] + ([picture.result.truth[one.truth].box] if one.truth >= 0 else [])
    return Shot(
        picture=place,
        filename=picture.filename,
        area=area_around(together, picture.size),
        outlines=(*_true_boxes(picture), *first, _found(picture, one)),
        heading=f"{one.kind.value} {seen.score:.0%}",
        said=said,
    )


def working_thresholds(evaluation: Evaluation) -> dict[str, float]:
    best = {label: None if curve is None else curve.best() for label, curve in evaluation.analysis.thresholds.items()}
    return {label: CONFUSION_SCORE if point is None else point.score for label, point in best.items()}


def _largest_missed(picture: EvaluatedPicture, thresholds: Mapping[str, float]) -> list[tuple[float, int]]:
    """Share of the picture, and number of the true box."""
    shown = {
        one.truth for one, seen in _judged(picture) if one.kind is Kind.RIGHT and seen.score >= thresholds[seen.label]
    }
    width, height = picture.size
    return heapq.nlargest(
        _PER_PICTURE,
        (
            (marked.box.area / (width * height), number)
            for number, marked in enumerate(picture.result.truth)
            if number not in shown and marked.label in thresholds
        ),
    )


def _missed(picture: EvaluatedPicture, place: int, number: int, thresholds: Mapping[str, float]) -> Shot:
    marked = picture.result.truth[number]
    found = [_found(picture, one) for one, seen in _judged(picture) if seen.score >= thresholds[seen.label]]
    return Shot(
        picture=place,
        filename=picture.filename,
        area=area_around([marked.box], picture.size),
        outlines=(*found, *_true_boxes(picture, missed=number)),
        heading=marked.label,
        said=_why_missed(picture, number, thresholds[marked.label]),
    )


def _why_missed(picture: EvaluatedPicture, number: int, threshold: float) -> str:
    about = [(seen.score, one.kind, seen.label, one.iou) for one, seen in _judged(picture) if one.truth == number]
    found = max((one for one in about if one[1] is Kind.RIGHT), default=None)
    if found is not None:
        return f"found with {found[0]:.0%}, shown from {threshold:.0%} on"
    score, kind, label, iou = max(about, default=(0.0, Kind.MISS, "", 0.0))
    if kind is Kind.CLS:
        return f"taken for {label} with {score:.0%}"
    if kind is Kind.LOC:
        return f"the box overlaps by IoU {iou:.2f} only, {score:.0%}"
    return f"{KIND_NAMES[Kind.MISS]} at any score"


def _whole(picture: EvaluatedPicture, place: int, heading: str) -> Shot:
    shown = [one for one, seen in _judged(picture) if seen.score >= CONFUSION_SCORE]
    right = sum(one.kind is Kind.RIGHT for one in shown)
    return Shot(
        picture=place,
        filename=picture.filename,
        area=None,
        outlines=(*_true_boxes(picture), *_written(_found(picture, one) for one in reversed(shown))),
        heading=heading,
        said=f"{right} of {len(picture.result.truth)} true boxes found, {len(shown) - right} false",
    )


def _judged(picture: EvaluatedPicture) -> Iterator[tuple[Verdict, Detection]]:
    return ((one, picture.result.found[one.place]) for one in picture.judged.verdicts)


def _found(picture: EvaluatedPicture, one: Verdict) -> Outline:
    seen = picture.result.found[one.place]
    return Outline.of(seen.box, "right" if one.kind is Kind.RIGHT else "false", f"{seen.label} {seen.score:.0%}")


def _written(found: Iterable[Outline]) -> list[Outline]:
    """With names on them; in a crowd, where names would cover each other, the false ones alone."""
    outlines = list(found)
    crowded = len(outlines) > _MOST_NAMES
    return [one if crowded and one.kind == "right" else replace(one, written=one.said) for one in outlines]


def _true_boxes(picture: EvaluatedPicture, missed: int = -1) -> list[Outline]:
    return [
        Outline.of(marked.box, "missed" if number == missed else "true", f"true: {marked.label}")
        for number, marked in enumerate(picture.result.truth)
    ]


def area_around(boxes: Iterable[Box], size: tuple[int, int]) -> Box:
    """A square around the boxes with something to see beside them, cut to the picture; whole pixels."""
    edges = [(box.left, box.top, box.right, box.bottom) for box in boxes]
    lefts, tops, rights, bottoms = zip(*edges, strict=True)
    left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
    side = max(_LEAST_PX, math.ceil(_CONTEXT * max(right - left, bottom - top)))
    x, width = _placed((left + right) / 2, side, size[0])
    y, height = _placed((top + bottom) / 2, side, size[1])
    return Box(x, y, x + width, y + height)


def _placed(middle: float, side: int, limit: int) -> tuple[int, int]:
    """Where a stretch of `side` starts so that it lies within `limit`, and how long it is then."""
    length = min(side, limit)
    return min(max(0, math.floor(middle - length / 2)), limit - length), length
