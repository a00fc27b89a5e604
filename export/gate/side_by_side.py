"""Several detectors over the same pictures in one pass: each picture is read, decoded and resized once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vigie.anchors import Boxes
from vigie.batching import detect_in_batches
from vigie.data.parts import Sample
from vigie.decoding import Scores
from vigie.domain import Detection
from vigie.errors import BadBundle, BadPicture
from vigie.export.gate.differences import Differences
from vigie.pictures import Picture
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import InputSize
from vigie.training.evaluating.evaluation import Evaluation, evaluate, evaluate_found

_Raw: TypeAlias = tuple[Boxes, Scores]


@dataclass(slots=True)
class Outcome:
    """Of one detector beside the leading one. `failed` says why it could not be run; the rest is not whole then.

    `differences` are those of its raw outputs; None where one of the two has none.
    """

    detector: Detector
    evaluation: Evaluation | None = None
    differences: Differences | None = None
    failed: str | None = None
    found: list[list[Detection]] = field(default_factory=list)


def evaluate_side_by_side(
    leading: Detector,
    others: Mapping[str, Detector],
    samples: Iterable[Sample],
    *,
    pictures: int,
    input_size: InputSize,
    intervals: bool = False,
    progress: bool = True,
    description: str = "evaluating",
) -> tuple[Evaluation, dict[str, Outcome]]:
    """The leading detector's evaluation, with intervals where asked, and the others', which are without.

    `pictures` is how many there are, `input_size` that of the model.

    Raises:
        BadData: as `vigie.training.evaluating.evaluation.evaluate`.
        BadBundle: the leading detector breaks down.
    """
    together = _SideBySide(leading, others)
    labels = tuple(leading.labels)
    evaluation = evaluate(
        together, samples, labels=labels, max_pictures=pictures, input_size=input_size, intervals=intervals,
        progress=progress, description=description,
    )  # fmt: skip
    for outcome in together.outcomes.values():
        if outcome.failed is None:
            outcome.evaluation = evaluate_found(
                outcome.found, evaluation.per_picture, labels=labels, input_size=input_size, intervals=False
            )
    return evaluation, together.outcomes


class _SideBySide:
    """A `vigie.ports.Detector` that gives what the leading one finds, and keeps what the others find."""

    def __init__(self, leading: Detector, others: Mapping[str, Detector]) -> None:
        self._leading = leading
        raw = isinstance(leading, RawHeadsDetector)
        self.outcomes = {
            name: Outcome(one, differences=Differences() if raw and isinstance(one, RawHeadsDetector) else None)
            for name, one in others.items()
        }

    @property
    def labels(self) -> Sequence[str]:
        return self._leading.labels

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        for outcome in self._running(raw=False):
            try:
                # What is no list is a bad picture, of which the leading detector tells.
                outcome.found += [one for one in outcome.detector.detect(pictures) if isinstance(one, list)]
            except BadBundle as error:
                outcome.failed = str(error)
        if not isinstance(self._leading, RawHeadsDetector):
            return self._leading.detect(pictures)
        size = self._leading.decoder.input_size
        return detect_in_batches(pictures, size, max(1, len(pictures)), self._run, self._decode)

    def _running(self, *, raw: bool) -> list[Outcome]:
        return [one for one in self.outcomes.values() if one.failed is None and (one.differences is not None) == raw]

    def _run(self, rgb_u8: npt.NDArray[np.uint8]) -> Iterator[tuple[_Raw, list[tuple[Outcome, _Raw]]]]:
        assert isinstance(self._leading, RawHeadsDetector)
        ours = list(zip(*self._leading.outputs(rgb_u8), strict=True))
        theirs: list[tuple[Outcome, list[_Raw]]] = []
        for outcome in self._running(raw=True):
            assert isinstance(outcome.detector, RawHeadsDetector)
            try:
                theirs.append((outcome, list(zip(*outcome.detector.outputs(rgb_u8), strict=True))))
            except BadBundle as error:
                outcome.failed = str(error)
        for place, one in enumerate(ours):
            yield one, [(outcome, raw[place]) for outcome, raw in theirs]

    def _decode(self, outputs: tuple[_Raw, list[tuple[Outcome, _Raw]]], picture: Picture) -> list[Detection]:
        assert isinstance(self._leading, RawHeadsDetector)
        ours, others = outputs
        decoder = self._leading.decoder
        for outcome, theirs in others:
            assert outcome.differences is not None
            outcome.differences.add(decoder, ours, theirs)
            outcome.found.append(decoder.decode(*theirs, width=picture.width, height=picture.height))
        return decoder.decode(*ours, width=picture.width, height=picture.height)
