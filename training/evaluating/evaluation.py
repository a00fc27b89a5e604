"""How good a detector is, by COCO's rules, whatever runs it."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

from vigie.data.parts import Sample
from vigie.domain import Box, Detection
from vigie.errors import BadData, BadPicture
from vigie.foreign.spellings import spelled_as
from vigie.ports import Detector
from vigie.progress import progress as progress_bar
from vigie.resizing import InputSize
from vigie.training.evaluating.coco import RECALLS, CocoNumbers, coco_numbers
from vigie.training.evaluating.metrics.analysis import Analysis, analyse, rounded
from vigie.training.evaluating.metrics.matching import LabelMatches, PictureResult, match
from vigie.training.evaluating.metrics.slices import Size
from vigie.training.evaluating.metrics.verdicts import PictureVerdicts, verdicts

EVALUATION_SCORE_THRESHOLD = 0.01
"""Give it to the detector that is evaluated: average precision needs the low scores as well, the curve ends without."""

_BATCH = 8


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
class EvaluatedPicture:
    """`size` is that of the picture, width and height in pixels."""

    filename: str
    size: Size
    result: PictureResult
    judged: PictureVerdicts

    def to_json(self) -> dict[str, Any]:
        """Boxes are left, top, right, bottom in pixels of the original; `kind` and `truth` as in `Verdict`."""
        values: dict[str, Any] = rounded(
            {
                "filename": self.filename,
                "width": self.size[0],
                "height": self.size[1],
                "truth": [{"label": marked.label, "box": _corners(marked.box)} for marked in self.result.truth],
                "found": [self._found(place) for place in range(len(self.judged.verdicts))],
                "unfound": list(self.judged.unfound),
                "missed": list(self.judged.missed),
            }
        )
        return values

    def _found(self, number: int) -> dict[str, Any]:
        verdict = self.judged.verdicts[number]
        seen = self.result.found[verdict.place]
        return {
            "label": seen.label,
            "score": seen.score,
            "box": _corners(seen.box),
            "kind": verdict.kind.value,
            "truth": None if verdict.truth < 0 else verdict.truth,
            "iou": verdict.iou,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`coco` are the twelve COCO numbers by name (see `coco.TWELVE`), None where nothing is to find.

    `matches` has an entry a label, in the order of `per_class`, and counts the pictures as `per_picture` does.
    """

    coco: Mapping[str, float | None]
    per_class: Mapping[str, ClassMetrics]
    pictures: int
    analysis: Analysis
    per_picture: tuple[EvaluatedPicture, ...]
    matches: tuple[LabelMatches, ...]

    def to_json(self) -> dict[str, Any]:
        """What `metrics.json` holds."""
        values: dict[str, Any] = {
            **self.coco,
            "per_class": {
                label: {
                    "AP": found.ap,
                    "AP50": found.ap50,
                    "AR": found.ar,
                    "VOC_AP50": found.voc_ap50,
                    "count": found.count,
                }
                for label, found in self.per_class.items()
            },
            "pictures": self.pictures,
            "boxes": sum(found.count for found in self.per_class.values()),
            **self.analysis.to_json(),
        }
        return dict(rounded(values))


def evaluate(
    detector: Detector,
    samples: Iterable[Sample],
    *,
    labels: Sequence[str],
    max_pictures: int | None = None,
    input_size: InputSize | None = None,
    intervals: bool = True,
    progress: bool = True,
    description: str = "evaluating",
) -> Evaluation:
    """Run the detector on every sample, or on the first `max_pictures`, and count. `description` stands at the bar.

    `input_size`, that of the model's input, lets boxes be sliced by their size there. Without `intervals` the
    bootstrap, which takes seconds, is left out.
    The detector's own threshold decides what it reports: build it with EVALUATION_SCORE_THRESHOLD.

    Raises:
        BadData: there is no picture, a true box has a label that is not in `labels`, or a picture cannot be decoded.
    """
    total = len(samples) if isinstance(samples, Sized) else None
    chosen = itertools.islice(samples, max_pictures)
    if max_pictures is not None:
        total = max_pictures if total is None else min(total, max_pictures)
    results: list[PictureResult] = []
    facts: list[tuple[str, Size]] = []
    with progress_bar(total=total, description=description, unit="picture", show=progress) as bar:
        for batch in _batches(chosen):
            results += _detect(detector, batch, labels)
            facts += [(sample.filename, (sample.picture.width, sample.picture.height)) for sample in batch]
            bar.update(len(batch))
    if not results:
        raise BadData("there is no picture to evaluate on; prepare a set with pictures in this part")
    return _evaluation(results, facts, labels, input_size, intervals=intervals)


def evaluate_found(
    found: Sequence[Sequence[Detection]],
    pictures: Sequence[EvaluatedPicture],
    *,
    labels: Sequence[str],
    input_size: InputSize | None = None,
    intervals: bool = True,
) -> Evaluation:
    """As `evaluate`, of what another detector found on the pictures of an evaluation, one entry a picture."""
    results = [PictureResult(picture.result.truth, one) for picture, one in zip(pictures, found, strict=True)]
    facts = [(picture.filename, picture.size) for picture in pictures]
    return _evaluation(results, facts, labels, input_size, intervals=intervals)


def _batches(samples: Iterator[Sample]) -> Iterator[list[Sample]]:
    while batch := list(itertools.islice(samples, _BATCH)):
        yield batch


def _detect(detector: Detector, batch: Sequence[Sample], labels: Sequence[str]) -> list[PictureResult]:
    results = []
    entries = detector.detect([sample.picture for sample in batch])
    for sample, entry in zip(batch, entries, strict=True):
        if isinstance(entry, BadPicture):
            raise BadData(f"{sample.filename}: {entry}; mend or remove it, and prepare the records again") from entry
        truth = [replace(marked, label=spelled_as(marked.label, labels)) for marked in sample.objects]
        unknown = sorted({marked.label for marked in truth} - set(labels))
        if unknown:
            raise BadData(
                f"{sample.filename}: is marked with {', '.join(unknown)}, evaluated are {', '.join(labels)}; "
                f"take pictures with the labels that the model was trained on"
            )
        results.append(PictureResult(truth, entry))
    return results


def _evaluation(
    results: Sequence[PictureResult],
    facts: Sequence[tuple[str, Size]],
    labels: Sequence[str],
    input_size: InputSize | None,
    *,
    intervals: bool,
) -> Evaluation:
    matches = match(results, labels)
    judged = verdicts(results, labels, matches)
    numbers = coco_numbers(matches)
    sizes = [size for _, size in facts]
    return Evaluation(
        coco=numbers.summary,
        per_class={label: _class_metrics(numbers, matches[at].count, at) for at, label in enumerate(labels)},
        pictures=len(results),
        analysis=analyse(results, labels, matches, judged, sizes=sizes, input_size=input_size, intervals=intervals),
        per_picture=tuple(
            EvaluatedPicture(filename, size, result, found)
            for (filename, size), result, found in zip(facts, results, judged, strict=True)
        ),
        matches=tuple(matches),
    )


def _class_metrics(numbers: CocoNumbers, count: int, column: int) -> ClassMetrics:
    precision, scores = numbers.curve_50(column)
    assert len(precision) == len(RECALLS)
    return ClassMetrics(
        ap=numbers.average_precision(column),
        ap50=numbers.average_precision_50(column),
        ar=numbers.average_recall(column),
        voc_ap50=numbers.voc_ap50[column],
        count=count,
        precision_50=tuple(float(value) for value in precision) if count else (),
        score_50=tuple(float(value) for value in scores) if count else (),
    )


def _corners(box: Box) -> list[float]:
    return [box.left, box.top, box.right, box.bottom]
