"""The card tells what a person who is handed the model wants to know, and nothing that is not there."""

import re
from pathlib import Path
from typing import Any

import cv2
import pytest
from faked_evaluations import cat, evaluated, found, sample

from vigie.anchors import AnchorSpec
from vigie.bundle import FP32, INT8, POSTPROCESS, SAVED_MODEL, InputSpec, ModelFacts, ThresholdFacts
from vigie.data.manifest import Division, Manifest, PartFacts
from vigie.data.parts import Sample
from vigie.experiment import Split
from vigie.export.card.card import card
from vigie.export.card.facts import CardFacts
from vigie.export.card.pictures import write_figures, write_mistakes
from vigie.export.gate.judging import measure
from vigie.export.gate.results import Asked, FileResult, Gate
from vigie.export.gate.tolerances import TOLERANCES
from vigie.training.evaluating.evaluation import Evaluation

SAMPLES = [sample(number, cat(10 + number, 10), cat(200, 100, 60)) for number in range(5)]
# Two of each picture's cats are there; one is found, and beside it something that is none.
ENTRIES = [[found("cat", 0.8, 10 + number, 10), found("cat", 0.9, 300, 200)] for number in range(5)]


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluated(SAMPLES, ENTRIES)


def facts(evaluation: Evaluation, **changed: Any) -> CardFacts:
    measured = measure(evaluation)
    files = [
        FileResult(file=FP32, runtime="tflite", bytes=8_600_000, tolerance=TOLERANCES[FP32], measured=measured,
                   boxes_px=0.00017, boxes_compared=9, score=1e-6, milliseconds={1: 20.04, 2: 11.0}),
        FileResult(file=INT8, runtime="tflite", bytes=2_700_000, tolerance=TOLERANCES[INT8], measured=measured,
                   reasons=("mAP is 0.1000, 0.4000 under the checkpoint's 0.5000",)),
    ]  # fmt: skip
    model = ModelFacts(
        default=FP32, labels=("cat", "dog"), anchors=AnchorSpec(), data_hash="d" * 64, training_key="k", code="0.2.0",
        input=InputSpec(width=320, height=256, resize="letterbox", mean_rgb=(1, 2, 3), std_rgb=(4, 5, 6)),
        trial_source="trial", step=700, metrics={FP32: {"mAP": 0.4321}}, thresholds={"cat": 0.61},
        chosen_thresholds={"cat": ThresholdFacts(threshold=0.61, low=0.5, high=0.7, chosen_by="best F1", precision=1,
                                                 recall=0.9, boxes=10)},
    )  # fmt: skip
    part = PartFacts(pictures=5, without_objects=1, boxes={"cat": 10, "dog": 0}, shards=())
    data = Manifest(
        version=2, source="pets", source_hash="d" * 64, classes=("cat", "dog"), split=Split(),
        division=Division(groups=15, torn_groups=0, lists=None, kept=0, left_out=0),
        parts={"train": part.model_copy(update={"pictures": 77}), "validation": part, "test": part}, clipped=(),
        unannotated=0, files={},
    )  # fmt: skip
    values: dict[str, Any] = {
        "name": "pets", "model": model,
        "gate": Gate(asked=Asked(), pictures=5, checkpoint=measured, files=tuple(files)),
        "evaluation": evaluation, "data": data, "source": "a shelter", "data_licence": "CC BY 4.0",
        "weights_licence": "not stated", "started_from": "imagenet",
    }  # fmt: skip
    return CardFacts(**{**values, **changed})


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_the_card_tells_data_classes_metrics_thresholds_licences_and_limits(evaluation: Evaluation) -> None:
    text = card(facts(evaluation))
    told = rows(text)
    interval = evaluation.analysis.intervals.ap50[0]
    assert interval is not None
    found = evaluation.per_class["cat"]
    spread = f"{interval.low:.3f} to {interval.high:.3f}"
    assert ["`cat`", "10", f"{found.ap:.3f}", f"{found.ap50:.3f}", spread] in told
    assert ["`cat`", "0.610", "0.500 to 0.700", "best F1", "10", "1.000", "0.900"] in told
    assert ["`dog`", "0", "none", "none", ""] in told
    assert ["`dog`", "0.500", "", "the general one", "", "", ""] in told
    assert ["train", "77", "10", "0"] in told
    assert ["`model_fp32.tflite`", "8.60", *[f"{evaluation.coco[name]:.3f}" for name in ("mAP", "mAP50")], "0.432",
            "0.00017 px", "1e-06", "20.0", "11.0"] in told  # fmt: skip
    for said in (
        "The set `pets` (source: a shelter), sha256 `" + "d" * 64,
        "licence of the data: CC BY 4.0",
        "licence of these weights: not stated",
        "the training started from: imagenet",
        "Measured on few boxes, so little is known of them: `cat` (10), `dog` (0)",
        "in the middle of 320x256 pixels of grey (114)",
        "`model_int8.tflite` was refused and is not here: mAP is 0.1000, 0.4000 under",
        "vigie predict . PICTURES --out found",
    ):
        assert said in text


def test_it_tells_how_to_run_the_files_that_are_there_and_no_others(evaluation: Evaluation) -> None:
    text = card(facts(evaluation))
    assert "tensorflow_model_server" not in text
    assert "mediapipe" not in text
    given = facts(evaluation)
    more = [
        one.model_copy(update={"file": file}) for one in given.gate.files[:1] for file in (SAVED_MODEL, POSTPROCESS)
    ]
    text = card(facts(evaluation, gate=given.gate.model_copy(update={"files": tuple(more)})))
    assert "curl localhost:8501/v1/models/pets:predict" in text
    assert 'BaseOptions("model_postprocess.tflite")' in text


def test_every_table_is_whole_and_words_of_others_do_not_break_it(evaluation: Evaluation) -> None:
    text = card(facts(evaluation, source="a|b *c* [d](e)\nf", data_licence="<script>"))
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert r"a\|b \*c\* \[d\](e) f" in text
    assert "<script>" not in text.replace(r"\<script\>", "")


def test_its_pictures_show_the_mistakes_and_are_small(evaluation: Evaluation, tmp_path: Path) -> None:
    write_figures(tmp_path, evaluation)
    false, missed = write_mistakes(tmp_path, evaluation, iter(SAMPLES), {"cat": 0.5, "dog": 0.5})
    text = card(facts(evaluation), false, missed)
    named = re.findall(r"\]\((card/[^)]+)\)", text)
    assert len(false) == len(missed) == 4
    assert set(named) == {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "card").iterdir()}
    for one in (*false, *missed):
        pixels = cv2.imread(str(tmp_path / one.file))
        assert max(pixels.shape) == 240
        assert (tmp_path / one.file).stat().st_size < 30_000
    assert (false[0].heading, missed[0].heading) == ("90%", "cat")
    assert "nothing is marked" in false[0].said
    orange, yellow = (81, 244), (225, 255)  # of green and red
    for mistakes, (green, red) in ((false, orange), (missed, yellow)):
        pixels = cv2.imread(str(tmp_path / mistakes[0].file)).astype(int)
        near = (abs(pixels[..., 1] - green) < 60) & (abs(pixels[..., 2] - red) < 60) & (pixels[..., 0] < 150)
        assert near.sum() > 100


def test_where_nothing_is_wrong_it_says_so(tmp_path: Path) -> None:
    right: list[Sample] = [sample(number, cat(10, 10)) for number in range(3)]
    faultless = evaluated(right, [[found("cat", 0.9, 10, 10)]] * 3)
    false, missed = write_mistakes(tmp_path, faultless, iter(right), {"cat": 0.5, "dog": 0.5})
    assert (false, missed) == ([], [])
    assert "It makes no mistake on the test part." in card(facts(faultless))
