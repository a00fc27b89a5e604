"""Evaluations of boxes that were thought out, on pictures that are told apart by their colours."""

from collections.abc import Sequence

import numpy as np

from vigie.data.parts import Sample
from vigie.domain import Box, Detection, LabelledBox
from vigie.pictures import Picture
from vigie.training.evaluating.evaluation import Evaluation, evaluate

LABELS = ("cat", "dog")


class Finds:
    def __init__(self, labels: Sequence[str], entries: Sequence[list[Detection]]) -> None:
        self.labels = labels
        self._entries = iter(entries)

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        return [next(self._entries) for _ in pictures]


def sample(number: int, *objects: LabelledBox, width: int = 400, height: int = 300) -> Sample:
    rgb = np.full((height, width, 3), 20 * number % 256, np.uint8)
    return Sample(number, f"{number}.jpg", Picture.from_pixels(rgb), objects)


def evaluated(
    samples: Sequence[Sample], entries: Sequence[list[Detection]], labels: Sequence[str] = LABELS
) -> Evaluation:
    return evaluate(Finds(labels, entries), samples, labels=labels, progress=False)


def cat(left: float, top: float, side: float = 50) -> LabelledBox:
    return LabelledBox("cat", Box(left, top, left + side, top + side))


def found(label: str, score: float, left: float, top: float, side: float = 50) -> Detection:
    return Detection(label, score, Box(left, top, left + side, top + side))
