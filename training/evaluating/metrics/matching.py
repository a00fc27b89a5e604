"""Which detection finds which true box, by COCO's rule (Lin et al. 2014, cocodataset.org/#detection-eval).

On each picture and for each label, the detections choose in the order of their scores: the free true box with the
highest overlap, when that reaches the IoU threshold. Every measure of this package counts on this one matching.
Arrays of detections are `slices x thresholds x detections`; a slice is a part of the boxes, as COCO's small ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vigie.domain import Box, Detection, LabelledBox

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

_Kind = TypeVar("_Kind", np.float64, np.int64, np.bool_)

IOU_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
IOU_50 = 0
"""The place of IoU .5 in IOU_THRESHOLDS."""
MOST_DETECTIONS = 100
"""Of one label on one picture; those with lower scores are not counted."""


@dataclass(frozen=True, slots=True)
class PictureResult:
    """What is on a picture, and what was found on it."""

    truth: Sequence[LabelledBox]
    found: Sequence[Detection]


@dataclass(frozen=True, slots=True)
class Slice:
    """The boxes whose size lies in `low` to `high`, both included; the size of each is told by the picture's scale."""

    name: str
    low: float
    high: float


COCO_AREAS = (
    Slice("all", 0, 1e10),
    Slice("small", 0, 32**2),
    Slice("medium", 32**2, 96**2),
    Slice("large", 96**2, 1e10),
)
"""In square pixels of the original, as COCO's own tool has them: an area on an edge counts on both sides."""


@dataclass(frozen=True, slots=True)
class LabelMatches:
    """All detections of one label, best first; equal scores in the order of the pictures.

    `picture` and `truth_picture` count the pictures from 0, `rank` counts the detections of the label on the picture
    from 0. `found` has a true box; `ignored` is neither right nor wrong, because it lies outside of the slice.
    `truth` is the number on the picture, among all its true boxes, of the box that is found, at IoU .5, or -1.
    """

    score: Floats
    picture: Ints
    rank: Ints
    found: Flags
    ignored: Flags
    truth: Ints
    truth_picture: Ints
    truth_ignored: Flags
    place: Ints
    """Of each detection in its picture's `found`."""

    @property
    def count(self) -> int:
        """Of true boxes, in the first slice."""
        return int(np.count_nonzero(~self.truth_ignored[0]))


SizeOf: TypeAlias = Callable[[int, Box], float]
"""The size of a box on a picture, by the picture's number from 0, in the unit of the slices."""


def match(
    results: Sequence[PictureResult],
    labels: Sequence[str],
    *,
    slices: Sequence[Slice] = COCO_AREAS,
    size_of: SizeOf = lambda _, box: box.area,
) -> list[LabelMatches]:
    """One entry a label, in their order; boxes with other labels are not counted, on either side."""
    held = _by_label(results, labels)
    return [_match_label(held[label], slices, size_of) for label in labels]


def overlaps(found: Sequence[Box], truth: Sequence[Box]) -> Floats:
    """IoU, `found x truth`, in the arithmetic of pycocotools: a right edge is left plus width, to the last bit."""
    if not found or not truth:
        return np.zeros((len(found), len(truth)))
    one, other = _left_top_width_height(found)[:, None], _left_top_width_height(truth)[None]
    sides = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    sides = np.maximum(sides - np.maximum(one[..., :2], other[..., :2]), 0)
    shared = sides[..., 0] * sides[..., 1]
    return np.asarray(shared / (one[..., 2] * one[..., 3] + other[..., 2] * other[..., 3] - shared))


def _left_top_width_height(boxes: Sequence[Box]) -> Floats:
    return np.array([[box.left, box.top, box.width, box.height] for box in boxes], np.float64)


@dataclass(frozen=True, slots=True)
class _OnPicture:
    score: Floats
    place: Ints
    found: Flags
    ignored: Flags
    truth: Ints
    truth_ignored: Flags


@dataclass(slots=True)
class _Held:
    """What a picture holds of one label: `places` are those of detections, `numbers` those of true boxes."""

    picture: int
    result: PictureResult
    places: list[int]
    numbers: list[int]


def _by_label(results: Sequence[PictureResult], labels: Sequence[str]) -> dict[str, list[_Held]]:
    """Only the pictures that hold something of the label: of eighty labels a picture has a few."""
    held: dict[str, dict[int, _Held]] = {label: {} for label in labels}
    for picture, result in enumerate(results):
        for place, seen in enumerate(result.found):
            if seen.label in held:
                held[seen.label].setdefault(picture, _Held(picture, result, [], [])).places.append(place)
        for number, marked in enumerate(result.truth):
            if marked.label in held:
                held[marked.label].setdefault(picture, _Held(picture, result, [], [])).numbers.append(number)
    return {label: list(by_picture.values()) for label, by_picture in held.items()}


def _match_label(held: Sequence[_Held], slices: Sequence[Slice], size_of: SizeOf) -> LabelMatches:
    parts = [_match_picture(one, slices, size_of) for one in held]
    pictures = np.array([one.picture for one in held], np.int64)
    shape = (len(slices), len(IOU_THRESHOLDS), 0)
    score = _joined([part.score for part in parts], np.zeros(0))
    order = np.argsort(-score, kind="stable")
    ranks = [np.arange(len(part.score)) for part in parts]
    return LabelMatches(
        score=score[order],
        picture=np.repeat(pictures, [len(part.score) for part in parts])[order],
        rank=_joined(ranks, np.zeros(0, np.int64))[order],
        found=_joined([part.found for part in parts], np.zeros(shape, bool))[..., order],
        ignored=_joined([part.ignored for part in parts], np.zeros(shape, bool))[..., order],
        truth=_joined([part.truth for part in parts], np.zeros(0, np.int64))[order],
        truth_picture=np.repeat(pictures, [part.truth_ignored.shape[1] for part in parts]),
        truth_ignored=_joined([part.truth_ignored for part in parts], np.zeros((len(slices), 0), bool)),
        place=_joined([part.place for part in parts], np.zeros(0, np.int64))[order],
    )


def _match_picture(held: _Held, slices: Sequence[Slice], size_of: SizeOf) -> _OnPicture:
    result, picture, numbers = held.result, held.picture, held.numbers
    places = sorted(held.places, key=lambda place: -result.found[place].score)[:MOST_DETECTIONS]
    found_boxes = [result.found[place].box for place in places]
    truth_boxes = [result.truth[number].box for number in numbers]
    truth_ignored = _outside([size_of(picture, box) for box in truth_boxes], slices)
    taken_by = assign(overlaps(found_boxes, truth_boxes), truth_ignored)
    found = taken_by >= 0
    of_ignored = np.zeros(found.shape, bool)
    if numbers:
        of_ignored = found & truth_ignored[np.arange(len(slices))[:, None, None], taken_by]
    outside = _outside([size_of(picture, box) for box in found_boxes], slices)[:, None, :]
    chosen = taken_by[0, IOU_50]
    return _OnPicture(
        score=np.array([result.found[place].score for place in places], np.float64),
        place=np.array(places, np.int64),
        found=found,
        ignored=of_ignored | (~found & outside),
        truth=np.where(chosen >= 0, np.array([*numbers, -1], np.int64)[chosen], -1),
        truth_ignored=truth_ignored,
    )


def _outside(sizes: Sequence[float], slices: Sequence[Slice]) -> Flags:
    """`slices x sizes`."""
    size = np.array(sizes, np.float64)[None]
    low, high = (np.array(edges)[:, None] for edges in zip(*((part.low, part.high) for part in slices), strict=True))
    return np.asarray((size < low) | (size > high))


def assign(iou: Floats, truth_ignored: Flags) -> Ints:
    """The number of the true box that each detection takes, or -1: `slices x IOU_THRESHOLDS x detections`.

    `iou` is `detections x true boxes`, detections best first. A true box outside of the slice is only taken
    when none inside is free; among equal overlaps the last wins, as in pycocotools.
    """
    detections, truths = iou.shape
    slices = len(truth_ignored)
    taken_by = np.full((slices, len(IOU_THRESHOLDS), detections), -1, np.int64)
    if not truths:
        return taken_by
    taken = np.zeros((slices, len(IOU_THRESHOLDS), truths), bool)
    enough = iou[:, None, :] >= IOU_THRESHOLDS[None, :, None]
    for detection in np.flatnonzero(enough.any(axis=(1, 2))):
        free = ~taken & enough[detection][None]
        inside = free & ~truth_ignored[:, None]
        free = np.where(inside.any(axis=2, keepdims=True), inside, free)
        # From behind, so that argmax meets the last of equal ones first. Ignored boxes stand behind the others there.
        order = np.argsort(truth_ignored, axis=1, kind="stable")[:, None, ::-1]
        overlap = np.where(free, iou[detection], -1.0)
        best = np.argmax(np.take_along_axis(overlap, np.broadcast_to(order, overlap.shape), axis=2), axis=2)
        chosen = np.take_along_axis(np.broadcast_to(order, overlap.shape), best[..., None], axis=2)[..., 0]
        hit = free.any(axis=2)
        taken_by[:, :, detection] = np.where(hit, chosen, -1)
        where = np.nonzero(hit)
        taken[(*where, chosen[where])] = True
    return taken_by


def _joined(parts: Sequence[npt.NDArray[_Kind]], empty: npt.NDArray[_Kind]) -> npt.NDArray[_Kind]:
    """Along the last axis; `empty` where there is no part."""
    return np.concatenate([empty, *parts], axis=-1)
