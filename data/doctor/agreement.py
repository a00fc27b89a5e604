"""How far the annotations of twin pictures agree: nobody can be measured to be better than those who measure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vigie.data.doctor.boxes import MOST_COMPARED, box_array, iou_table
from vigie.data.doctor.findings import WHOLE_SET, Finding, finding
from vigie.data.doctor.reading import DataSet, Pair

_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # COCO's
_SAME_IOU = 0.5
_FAR_APART = 0.75


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the objects on twin pictures: those of the fuller one are counted, a missing partner has IoU 0.

    `partners` are the matched: IoU and whether both say the same class.
    """

    objects: int
    partners: tuple[tuple[float, bool], ...]

    @property
    def mean_iou(self) -> float:
        return sum(iou for iou, _ in self.partners) / self.objects

    @property
    def unmatched(self) -> int:
        return self.objects - sum(iou >= _SAME_IOU for iou, _ in self.partners)

    @property
    def other_class(self) -> int:
        return sum(not same for iou, same in self.partners if iou >= _SAME_IOU)

    @property
    def ceiling(self) -> float:
        """The share of objects whose partner would count as found, mean over IoU .5 to .95 as mAP is."""
        found = [sum(same and iou >= threshold for iou, same in self.partners) for threshold in _THRESHOLDS]
        return float(np.mean(found)) / self.objects


def check_agreement(data: DataSet, twins: Sequence[tuple[str, str]]) -> list[Finding]:
    """`twins` are names of pictures that show the same."""
    pairs = {pair.picture.name: pair for pair in data.pairs if pair.picture is not None}
    compared = [
        (pairs[first].labels.name, pairs[second].labels.name, agreement)
        for first, second in twins
        if first in pairs and second in pairs and (agreement := _agreement(pairs[first], pairs[second])) is not None
    ]
    findings = [
        finding("annotations-disagree", second, _said(first, it), other=first)
        for first, second, it in compared
        if it.unmatched or it.other_class or it.mean_iou < _FAR_APART
    ]
    if compared:
        whole = Agreement(sum(it.objects for *_, it in compared), tuple(p for *_, it in compared for p in it.partners))
        if whole.ceiling < 1:
            findings.append(finding("annotations-ceiling", WHOLE_SET, _ceiling(len(compared), whole)))
    return findings


def _said(first: str, it: Agreement) -> str:
    return (
        f"of {it.objects} objects {it.unmatched} have no partner in {first} and {it.other_class} another class; "
        f"mean IoU {it.mean_iou:.2f}"
    )


def _ceiling(pairs: int, whole: Agreement) -> str:
    matched = whole.objects - whole.unmatched
    same = (matched - whole.other_class) / matched if matched else 0.0
    return (
        f"on {pairs} pairs of twins the {whole.objects} objects agree with a mean IoU of {whole.mean_iou:.2f} and "
        f"{same:.0%} in class: mAP@[.5:.95] ends at about {whole.ceiling:.2f}"
    )


def _agreement(first: Pair, second: Pair) -> Agreement | None:
    """None where neither marks anything, or there is too much to compare."""
    one, other = first.good_objects(), second.good_objects()
    most = max(len(one), len(other))
    if not 0 < most <= MOST_COMPARED or first.size is None or second.size is None:
        return None
    # As shares of the picture: a twin may be a pixel larger.
    overlaps = iou_table(box_array(one) / (first.size * 2), box_array(other) / (second.size * 2))
    partners = _matched(overlaps)
    return Agreement(most, tuple((float(overlaps[i, j]), one[i].label == other[j].label) for i, j in partners))


def _matched(overlaps: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Partners one to one, the best overlap first."""
    rows, columns = np.nonzero(overlaps)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    partners = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            partners.append((row, column))
    return partners
