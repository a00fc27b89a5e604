"""Which label is taken for which: the confusion matrix of a detector, with the background as one more label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vigie.domain import Detection, LabelledBox
from vigie.training.evaluating.metrics.matching import Ints, PictureResult, overlaps

BACKGROUND = "background"
CONFUSION_IOU = 0.5
CONFUSION_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts` is what is there x what was found; the last row are false alarms, the last column missed boxes.

    The number in its corner is always 0: nobody counts the background that was rightly left alone.
    """

    labels: tuple[str, ...]
    counts: Ints
    score: float


def confusion(results: Sequence[PictureResult], labels: Sequence[str], *, score: float = CONFUSION_SCORE) -> Confusion:
    """Of detections with at least `score`, paired with true boxes of any label; see `pairs`."""
    number = {label: place for place, label in enumerate(labels)}
    background = len(labels)
    counts = np.zeros((background + 1, background + 1), np.int64)
    for result in results:
        truth = [marked for marked in result.truth if marked.label in number]
        found = [seen for seen in result.found if seen.label in number and seen.score >= score]
        paired = pairs(found, truth)
        for seen, marked in paired:
            counts[number[truth[marked].label], number[found[seen].label]] += 1
        for place in set(range(len(found))) - {seen for seen, _ in paired}:
            counts[background, number[found[place].label]] += 1
        for place in set(range(len(truth))) - {marked for _, marked in paired}:
            counts[number[truth[place].label], background] += 1
    return Confusion((*labels, BACKGROUND), counts, score)


def pairs(found: Sequence[Detection], truth: Sequence[LabelledBox]) -> list[tuple[int, int]]:
    """(detection, true box) by their places: each once, the highest overlap first, from IoU .5 on.

    Of equal overlaps the one with the right label goes first, then the one with the higher score. Labels decide
    nothing else: a box that lies right under a wrong name is a confusion, not a miss and a false alarm.
    """
    iou = overlaps([seen.box for seen in found], [marked.box for marked in truth])
    candidates = sorted(
        (-iou[seen, marked], found[seen].label != truth[marked].label, -found[seen].score, int(seen), int(marked))
        for seen, marked in zip(*np.nonzero(iou >= CONFUSION_IOU), strict=True)
    )
    chosen: list[tuple[int, int]] = []
    seen_before: set[int] = set()
    marked_before: set[int] = set()
    for *_, seen, marked in candidates:
        if seen not in seen_before and marked not in marked_before:
            chosen.append((seen, marked))
            seen_before.add(seen)
            marked_before.add(marked)
    return chosen
