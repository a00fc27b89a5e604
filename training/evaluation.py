"""How good a detector is, by COCO's rules, whatever runs it."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from vigie.data.parts import Sample
from vigie.errors import BadData, BadPicture
from vigie.ports import Detector
from vigie.progress import progress as progress_bar
from vigie.training.coco import RECALLS, CocoNumbers, coco_numbers
from vigie.training.metrics.matching import PictureResult, match

EVALUATION_SCORE_THRESHOLD = 0.01
"""Give it to the detector that is evaluated: average precision needs the low scores as well, the curve ends without."""

_BATCH = 8
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Of one label. `count` is the number of true boxes; without any, the rest is None and empty.

    `ap` and `ar` are means over IoU .5 to .95, `ar` with 100 detections a picture; `voc_ap50` is the area under
    the whole curve at IoU .5, where COCO's `ap50` takes 101 points of it.
    `precision_50` and `score_50` are those at recall 0, .01 ... 1 with boxes that match at IoU .5;
    a recall that is never reached has precision 0.
    """

    ap: float | None
    ap50: float | None
    ar: float | None
    voc_ap50: float | None
    count: int
    precision_50: tuple[float, ...]
    score_50: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`coco` are the twelve COCO numbers by name (see `vigie.training.coco.TWELVE`), None where nothing is to find."""

    coco: Mapping[str, float | None]
    per_class: Mapping[str, ClassMetrics]
    pictures: int

    def to_json(self) -> dict[str, Any]:
        """What `metrics.json` holds."""
        return {
            **{name: _rounded(value) for name, value in self.coco.items()},
            "per_class": {
                label: {
                    "AP": _rounded(found.ap),
                    "AP50": _rounded(found.ap50),
                    "AR": _rounded(found.ar),
                    "VOC_AP50": _rounded(found.voc_ap50),
                    "count": found.count,
                }
                for label, found in self.per_class.items()
            },
            "pictures": self.pictures,
            "boxes": sum(found.count for found in self.per_class.values()),
        }


def evaluate(
    detector: Detector,
    samples: Iterable[Sample],
    *,
    labels: Sequence[str],
    max_pictures: int | None = None,
    progress: bool = True,
) -> Evaluation:
    """Run the detector on every sample, or on the first `max_pictures`, and count.

    The detector's own threshold decides what it reports: build it with EVALUATION_SCORE_THRESHOLD.

    Raises:
        BadData: there is no picture, a true box has a label that is not in `labels`, or a picture cannot be decoded.
    """
    total = len(samples) if isinstance(samples, Sized) else None
    chosen = itertools.islice(samples, max_pictures)
    if max_pictures is not None:
        total = max_pictures if total is None else min(total, max_pictures)
    results = []
    with progress_bar(total=total, description="evaluating", unit="picture", show=progress) as bar:
        for batch in _batches(chosen):
            results += _detect(detector, batch, labels)
            bar.update(len(batch))
    if not results:
        raise BadData("there is no picture to evaluate on; prepare a set with pictures in this part")
    return _evaluation(coco_numbers(match(results, labels)), results, labels)


def _batches(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    while batch := list(itertools.islice(samples, _BATCH)):
        yield batch


def _detect(detector: Detector, batch: Sequence[Sample], labels: Sequence[str]) -> list[PictureResult]:
    results = []
    entries = detector.detect([sample.picture for sample in batch])
    for sample, entry in zip(batch, entries, strict=True):
        if isinstance(entry, BadPicture):
            raise BadData(f"{sample.filename}: {entry}; mend or remove it, and prepare the records again") from entry
        unknown = sorted({marked.label for marked in sample.objects} - set(labels))
        if unknown:
            raise BadData(
                f"{sample.filename}: is marked with {', '.join(unknown)}, evaluated are {', '.join(labels)}; "
                f"take pictures with the labels that the model was trained on"
            )
        results.append(PictureResult(sample.objects, entry))
    return results


def _evaluation(numbers: CocoNumbers, results: Sequence[PictureResult], labels: Sequence[str]) -> Evaluation:
    per_class = {}
    for column, label in enumerate(labels):
        count = sum(marked.label == label for result in results for marked in result.truth)
        precision, scores = numbers.curve_50(column)
        per_class[label] = ClassMetrics(
            ap=numbers.average_precision(column),
            ap50=numbers.average_precision_50(column),
            ar=numbers.average_recall(column),
            voc_ap50=numbers.voc_ap50[column],
            count=count,
            precision_50=tuple(float(value) for value in precision) if count else (),
            score_50=tuple(float(value) for value in scores) if count else (),
        )
    assert all(len(found.precision_50) in (0, len(RECALLS)) for found in per_class.values())
    return Evaluation(numbers.summary, per_class, len(results))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
