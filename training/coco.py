"""COCO's metrics by pycocotools, from boxes in pixels; what it prints is swallowed."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vigie.domain import Box, Detection, LabelledBox

TWELVE = (
    "mAP", "mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip
"""COCO's summary in its order: average precision over IoU .5 to .95, at .5, at .75, of areas under 32**2, up to 96**2
and above pixels of the original; average recall with 1, 10 and 100 detections a picture, and by area."""

RECALLS: npt.NDArray[np.float64] = np.linspace(0, 1, 101)
_ALL_AREAS, _MOST_DETECTIONS, _IOU_50 = 0, -1, 0
_NOTHING_TO_FIND = -1


@dataclass(frozen=True, slots=True)
class PictureResult:
    """What is on a picture, and what was found on it."""

    truth: Sequence[LabelledBox]
    found: Sequence[Detection]


@dataclass(frozen=True, slots=True)
class CocoNumbers:
    """`precision` and `scores` are IoU thresholds x RECALLS x labels, for all areas and 100 detections a picture.

    `precision` is -1 for a label that has no true box; `scores` are those from which on a recall is reached.
    """

    summary: dict[str, float | None]
    precision: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]

    def average_precision(self, label: int) -> float | None:
        """Over IoU .5 to .95; None without a true box."""
        return _mean(self.precision[:, :, label])

    def average_precision_50(self, label: int) -> float | None:
        return _mean(self.precision[_IOU_50, :, label])

    def curve_50(self, label: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Precision and score at each of RECALLS, at IoU .5."""
        return self.precision[_IOU_50, :, label], self.scores[_IOU_50, :, label]


def coco_numbers(results: Sequence[PictureResult], labels: Sequence[str]) -> CocoNumbers:
    """Labels that are not in `labels` are not counted, on either side."""
    number_of = {label: number for number, label in enumerate(labels, start=1)}
    base = {
        "images": [{"id": picture} for picture in range(1, len(results) + 1)],
        "categories": [{"id": number, "name": label} for label, number in number_of.items()],
    }
    truth, found = [], []
    for picture, result in enumerate(results, start=1):
        truth += [
            _annotation(picture, number_of[marked.label], marked.box)
            for marked in result.truth
            if marked.label in number_of
        ]
        found += [
            {**_annotation(picture, number_of[detection.label], detection.box), "score": detection.score}
            for detection in result.found
            if detection.label in number_of
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(_coco(base, truth), _coco(base, found), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    summary = {name: _known(float(value)) for name, value in zip(TWELVE, evaluator.stats, strict=True)}
    precision, scores = (
        np.asarray(evaluator.eval[name])[:, :, :, _ALL_AREAS, _MOST_DETECTIONS] for name in ("precision", "scores")
    )
    return CocoNumbers(summary, precision, scores)


def _annotation(picture: int, category: int, box: Box) -> dict[str, Any]:
    return {
        "image_id": picture,
        "category_id": category,
        "bbox": [box.left, box.top, box.width, box.height],
        "area": box.area,
        "iscrowd": 0,
    }


def _coco(base: dict[str, Any], annotations: Sequence[dict[str, Any]]) -> COCO:
    """Built by hand, because `loadRes` fails where nothing was found. Ids count from 1: pycocotools reads 0 as none."""
    coco = COCO()
    coco.dataset = {
        **base,
        "annotations": [{**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)],
    }
    coco.createIndex()
    return coco


def _known(value: float) -> float | None:
    return None if value == _NOTHING_TO_FIND else value


def _mean(precision: npt.NDArray[np.float64]) -> float | None:
    known = precision[precision > _NOTHING_TO_FIND]
    return float(known.mean()) if known.size else None
