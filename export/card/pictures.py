"""The model card's pictures: curves, and the worst mistakes on the test part."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from vigie.bundle import CARD_FOLDER
from vigie.data.parts import Sample
from vigie.domain import Box
from vigie.page import Outline
from vigie.pictures import Pixels, encode_jpeg
from vigie.training import plots
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.reporting.worst import Shot, false_boxes, missed_boxes

CURVES_FILE = f"{CARD_FOLDER}/precision_recall.png"
THRESHOLDS_FILE = f"{CARD_FOLDER}/thresholds.png"
METRICS_FILE = f"{CARD_FOLDER}/metrics.json"

_SHOWN = 4  # of each kind of mistake: a card, no report
_SIDE_PX = 240
_QUALITY = 80
_DPI = 80
# Red, green, blue, and thickness in pixels; those of the report's galleries.
_LINES = {"true": ((86, 180, 233), 1), "right": ((0, 196, 140), 1), "missed": ((255, 225, 77), 2)}
_FALSE = ((244, 81, 30), 2)


@dataclass(frozen=True, slots=True)
class Mistake:
    """`file` is relative to the bundle."""

    file: str
    heading: str
    said: str


def write_figures(folder: Path, evaluation: Evaluation) -> None:
    """The curves, and `metrics.json` as `vigie evaluate` writes it, of the default file on the test part."""
    (folder / CARD_FOLDER).mkdir(exist_ok=True)
    plots.precision_recall(evaluation).savefig(folder / CURVES_FILE, dpi=_DPI)
    plots.f1_curves(evaluation).savefig(folder / THRESHOLDS_FILE, dpi=_DPI)
    (folder / METRICS_FILE).write_text(json.dumps(evaluation.to_json(), ensure_ascii=False) + "\n", encoding="utf-8")


def write_mistakes(
    folder: Path, evaluation: Evaluation, samples: Iterable[Sample], thresholds: Mapping[str, float]
) -> tuple[list[Mistake], list[Mistake]]:
    """Small pictures of false boxes with high scores, and of large ones that are not shown at the labels' thresholds.

    `samples` are those of the evaluation, read again.
    """
    # A kind after the other, so that each has its worst one before any has a second.
    by_kind = [list(shots) for shots in false_boxes(evaluation, per_kind=_SHOWN).values()]
    false = list(islice(_in_turns(by_kind), _SHOWN))
    missed = missed_boxes(evaluation, most=_SHOWN, thresholds=thresholds)
    wanted = [(f"false_{number}", shot) for number, shot in enumerate(false, start=1)]
    wanted += [(f"missed_{number}", shot) for number, shot in enumerate(missed, start=1)]
    files = {shot: f"{CARD_FOLDER}/{name}.jpg" for name, shot in wanted}
    (folder / CARD_FOLDER).mkdir(exist_ok=True)
    last = max((shot.picture for shot in files), default=-1)
    for place, sample in enumerate(islice(samples, last + 1)):
        for shot, file in files.items():
            if shot.picture == place:
                (folder / file).write_bytes(encode_jpeg(_drawn(sample.picture.rgb(), shot), _QUALITY))
    surest = [Mistake(files[shot], shot.heading.split()[-1], shot.said) for shot in false]  # without TIDE's short name
    return surest, [Mistake(files[shot], shot.heading, shot.said) for shot in missed]


def _in_turns(lists: Sequence[list[Shot]]) -> Iterator[Shot]:
    for place in range(max(map(len, lists), default=0)):
        yield from (shots[place] for shots in lists if place < len(shots))


def _drawn(rgb: Pixels, shot: Shot) -> Pixels:
    """The part that is shown, with its outlines, `_SIDE_PX` on its longer side."""
    height, width = rgb.shape[:2]
    area = shot.area or Box(0, 0, width, height)
    part = rgb[int(area.top) : int(area.bottom), int(area.left) : int(area.right)]
    scale = _SIDE_PX / max(area.width, area.height)
    size = max(1, round(area.width * scale)), max(1, round(area.height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = np.asarray(cv2.resize(part, size, interpolation=how), np.uint8)
    for outline in shot.outlines:
        colour, thickness_px = _LINES.get(outline.kind, _FALSE)
        cv2.rectangle(canvas, *_corners(outline, area, scale), colour, thickness_px)
    return canvas


def _corners(outline: Outline, area: Box, scale: float) -> tuple[tuple[int, int], tuple[int, int]]:
    left, top = (outline.left - area.left) * scale, (outline.top - area.top) * scale
    right, bottom = left + outline.width * scale, top + outline.height * scale
    return (round(left), round(top)), (round(right) - 1, round(bottom) - 1)
