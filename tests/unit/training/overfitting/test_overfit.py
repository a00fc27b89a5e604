"""Ten pictures by heart, or which part of the model does not learn."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vigie.data.parts import Sample
from vigie.domain import Box, Detection, LabelledBox
from vigie.errors import BadData
from vigie.experiment import Assignment, Experiment, ModelSpec, Schedule
from vigie.pictures import Picture
from vigie.runs import Run
from vigie.training.evaluating.evaluation import Evaluation, evaluate
from vigie.training.overfitting.overfit import Verdict, chosen
from vigie.training.overfitting.reasons import BoxFit, reasons

CopyRun = Callable[..., Run]
LABELS = ("cat", "dog")
SCHEDULE = Schedule(steps=1)
ALIVE = {"backbone": 1.0, "fpn": 2.0, "head": 3.0}
FITTING = (BoxFit("a.jpg, cat of 30x30 px at the input", 4, 0.7),)
HERE, BESIDE, THERE = Box(10, 10, 110, 110), Box(50, 10, 150, 110), Box(200, 200, 300, 300)


class Prepared:
    """Gives the detections that it was made with."""

    labels = LABELS

    def __init__(self, *found: Detection) -> None:
        self._found = list(found)

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        return [self._found for _ in pictures]


def seen(*found: Detection) -> Evaluation:
    objects = (LabelledBox("cat", HERE), LabelledBox("dog", THERE))
    sample = Sample(1, "1.jpg", Picture.from_pixels(np.zeros((480, 640, 3), np.uint8)), objects)
    return evaluate(Prepared(*found), [sample], labels=LABELS, intervals=False, progress=False)


RIGHT = (Detection("cat", 0.9, HERE), Detection("dog", 0.9, THERE))


def falling(steps: int = 40, *, classification: bool = True, box: bool = True) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows of step, total, class and box loss; what does not fall stays at 1."""
    left = np.linspace(1, 0.1, steps)
    columns = [left if falls else np.ones(steps) for falls in (classification, box)]
    return np.stack([np.arange(1, steps + 1), sum(columns), *columns], axis=1).astype(np.float32)


def told(
    rows: Any = None, gradients: Any = ALIVE, fits: Any = FITTING, found: Any = RIGHT, **schedule: Any
) -> list[str]:
    return reasons(
        falling() if rows is None else rows, gradients, fits, seen(*found),
        SCHEDULE.model_copy(update=schedule), 0.5,
    )  # fmt: skip


def test_where_all_parts_learn_time_is_what_lacks() -> None:
    assert told() == ["every part learns, but slowly: give it more minutes"]


def test_a_loss_that_stays_is_named() -> None:
    assert told(falling(classification=False)) == ["the classification loss is flat: 1 at the start, 1 at the end"]
    assert told(falling(box=False)) == ["the box loss is flat: 1 at the start, 1 at the end"]
    broken = falling()
    broken[-1, 2] = np.nan
    (one,) = told(broken)
    assert one.startswith("the classification loss is flat: ")


def test_a_part_without_gradient_is_named_with_what_holds_it() -> None:
    still = {**ALIVE, "backbone": 0.0}
    assert told(gradients=still, frozen=("backbone",)) == ["the backbone gets no gradient: training.frozen holds it"]
    assert told(gradients=still) == ["the backbone gets no gradient: no loss depends on it"]


def test_boxes_that_no_anchor_fits_are_named_the_worst_first() -> None:
    fits = [
        BoxFit("a.jpg, cat of 3x3 px at the input", 1, 0.2),
        BoxFit("b.jpg, cat of 2x2 px at the input", 1, 0.1),
        BoxFit("c.jpg, cat of 30x30 px at the input", 0, 0.6),
        *FITTING,
    ]
    none, weak = told(fits=fits)
    assert none.startswith("no anchor answers for 1 of 4 boxes (c.jpg, cat of 30x30 px at the input, best IoU 0.60): ")
    assert weak.startswith(
        "no anchor overlaps by 0.5 or more, so one alone answers for each of 2 of 4 boxes "
        "(b.jpg, cat of 2x2 px at the input, best IoU 0.10; a.jpg"
    )


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ((Detection("dog", 0.9, HERE), RIGHT[1]), "boxes are right but classes are confused: 1 of"),
        ((Detection("cat", 0.9, BESIDE), RIGHT[1]), "objects are found but boxes are off: 1 of"),
        (RIGHT[:1], "objects are not found at all: 1 of"),
    ],
    ids=["classes", "boxes", "missed"],
)
def test_the_kind_of_error_that_costs_is_named(found: tuple[Detection, ...], what: str) -> None:
    (one,) = told(found=found)
    assert one.startswith(what)


def test_the_pictures_with_the_most_classes_are_taken(tiny_run: Run) -> None:
    boxes = pd.read_csv(tiny_run.records / "train_labels.csv")
    classes = boxes.groupby("filename")["class"].nunique()
    names = [sample.filename for sample in chosen(tiny_run.records, 10)]
    assert len(set(names)) == 10
    assert classes[names].min() >= classes.drop(names).max()
    with pytest.raises(BadData, match=r"\d+ training pictures show objects, 999 are to be learnt by heart"):
        chosen(tiny_run.records, 999)


def test_a_box_far_smaller_than_all_anchors_has_one_that_hardly_overlaps() -> None:
    from vigie.training.overfitting.loop import box_fits

    picture = Picture.from_pixels(np.zeros((128, 128, 3), np.uint8))
    objects = (LabelledBox("cat", Box(32, 32, 36, 36)), LabelledBox("cat", Box(0, 0, 64, 64)))
    experiment = Experiment(
        name="fits", classes=LABELS, model=ModelSpec(input_width=64, input_height=64), training=SCHEDULE,
        assignment=Assignment(),
    )  # fmt: skip
    small, large = box_fits([Sample(1, "1.jpg", picture, objects)], experiment)
    assert small.name == "1.jpg, cat of 2x2 px at the input"
    assert small.anchors == 1
    assert small.best_iou < 0.05
    assert large.anchors > 1
    assert large.best_iou > 0.5


def test_the_verdict_reads_as_a_few_lines() -> None:
    verdict = Verdict(False, 0.5, 40, 12.3, ("a.jpg", "b.jpg"), ((20, 0.1), (40, 0.5)), ("first", "second"))
    assert verdict.as_text().splitlines() == [
        "mAP50 0.500 on 2 pictures after 40 steps, 12 s; 0.99 is what a sound model reaches:",
        "- first",
        "- second",
    ]


def test_a_few_pictures_are_learnt_by_heart_and_nothing_is_left_behind(tiny_run: Run, copied: CopyRun) -> None:
    from vigie.training.overfitting.overfit import overfit

    anchors = {"min_level": 3, "max_level": 5, "scales": 2, "aspect_ratios": [1.0], "size": 1.5}
    run = copied(tiny_run, {"model": {"anchors": anchors}})
    before = sorted(path for path in run.folder.rglob("*"))
    verdict = overfit(run.records, run.experiment, pictures=2, minutes=4, progress=False)
    assert verdict.learns, verdict.as_text()
    assert verdict.map50 >= 0.99
    assert verdict.reasons == ()
    assert len(verdict.pictures) == 2
    assert [step for step, _ in verdict.curve] == list(range(20, verdict.steps + 1, 20))
    assert sorted(path for path in run.folder.rglob("*")) == before


def test_a_frozen_part_is_why_nothing_is_learnt(tiny_run: Run, copied: CopyRun) -> None:
    from vigie.training.overfitting.overfit import overfit

    run = copied(tiny_run, {"training": {"frozen": ["backbone", "fpn"]}})
    verdict = overfit(run.records, run.experiment, pictures=2, minutes=0.01, progress=False)
    assert not verdict.learns
    assert verdict.reasons[:2] == (
        "the backbone gets no gradient: training.frozen holds it",
        "the fpn gets no gradient: training.frozen holds it",
    )
