"""Boxes: have they an area, do they lie in their picture, do they say one thing once?"""

from collections import Counter

import numpy as np
import numpy.typing as npt

from vigie.data.doctor.findings import Finding, counted, finding
from vigie.data.doctor.label_files import Corners, LabelFile, MarkedObject
from vigie.data.doctor.reading import DataSet, GoodObject, Pair, clipped_box

MAX_OBJECTS = 100  # the trainer's max_num_instances
_COVERS_ALL = 0.99
_ROUNDING_PX = 0.5  # formats of fractions miss the edge by less
_SAME_OBJECT_IOU = 0.9
MOST_COMPARED = 2000  # objects of a picture: their table of overlaps stays under 32 MB


def check_boxes(data: DataSet) -> list[Finding]:
    findings: list[Finding] = []
    for pair in data.pairs:
        for marked in pair.labels.objects:
            found = _shape(pair.labels, marked) or _place(pair, marked)
            if found is not None:
                findings.append(found)
        findings += _duplicates(pair.labels) + _two_classes(pair) + _how_many(pair.labels)
    return findings


def _shape(labels: LabelFile, marked: MarkedObject) -> Finding | None:
    corners = marked.corners
    if corners.xmin > corners.xmax or corners.ymin > corners.ymax:
        return finding("box-inverted", labels.name, f"{_said(corners)} is inverted", number=marked.number)
    if not corners.ordered:
        return finding("box-no-area", labels.name, f"{_said(corners)} is a line", number=marked.number)
    return None


def _place(pair: Pair, marked: MarkedObject) -> Finding | None:
    if pair.size is None:
        return None
    width, height = pair.size
    corners, where = marked.corners, f"{_said(marked.corners)} in a picture of {width}x{height}"
    inside = clipped_box(marked, pair.size)
    if inside is None:
        return finding("box-all-outside", pair.labels.name, f"{where} lies outside", number=marked.number)
    first = corners.first
    beyond = max(first - corners.xmin, first - corners.ymin, corners.xmax - width, corners.ymax - height)
    if beyond > (_ROUNDING_PX if first == 0 else 0):
        code = "box-outside-by-one" if beyond <= 1 else "box-outside"
        reaches = f"{where} reaches {beyond:g} px outside"
        return finding(code, pair.labels.name, reaches, number=marked.number)
    if inside.area >= _COVERS_ALL * width * height:
        return finding("box-covers-all", pair.labels.name, f"{where} covers it all", number=marked.number)
    return None


def _said(corners: Corners) -> str:
    return f"({corners.xmin:g}, {corners.ymin:g}) to ({corners.xmax:g}, {corners.ymax:g})"


def _duplicates(labels: LabelFile) -> list[Finding]:
    first: dict[tuple[str, Corners], MarkedObject] = {}
    findings = []
    for marked in labels.objects:
        before = first.setdefault((marked.label.strip(), marked.corners), marked)
        if before is not marked:
            found = f"the same box and label {marked.label.strip()!r:.60} as {counted(labels.name)} {before.number}"
            findings.append(finding("box-duplicate", labels.name, found, number=marked.number))
    return findings


def _two_classes(pair: Pair) -> list[Finding]:
    objects = pair.good_objects()
    if not 2 <= len(objects) <= MOST_COMPARED:
        return []
    overlaps = iou_table(box_array(objects), box_array(objects))
    findings = []
    for first, second in np.argwhere(np.triu(overlaps >= _SAME_OBJECT_IOU, k=1)):
        one, other = objects[first], objects[second]
        if one.label != other.label:
            found = (
                f"{other.label!r:.60} on what {counted(pair.labels.name)} {one.number} calls {one.label!r:.60}, "
                f"IoU {overlaps[first, second]:.2f}"
            )
            findings.append(finding("box-two-classes", pair.labels.name, found, number=other.number))
    return findings


def _how_many(labels: LabelFile) -> list[Finding]:
    if not labels.objects and not labels.problems:
        return [finding("picture-without-objects", labels.name, "no object is marked on its picture")]
    if len(labels.objects) > MAX_OBJECTS:
        most = Counter(marked.label.strip() for marked in labels.objects).most_common(1)[0]
        found = f"{len(labels.objects)} objects, {most[1]} of them {most[0]!r:.60}; the trainer takes {MAX_OBJECTS}"
        return [finding("objects-too-many", labels.name, found)]
    return []


def box_array(objects: tuple[GoodObject, ...]) -> npt.NDArray[np.float64]:
    """N x 4: left, top, right, bottom in pixels of the picture."""
    boxes = [(it.box.left, it.box.top, it.box.right, it.box.bottom) for it in objects]
    return np.array(boxes, np.float64).reshape(-1, 4)


def iou_table(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Intersection over union of each of N boxes with each of M, N x M; corners as `box_array` orders them."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (first, second)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None, :] - shared), np.float64)
