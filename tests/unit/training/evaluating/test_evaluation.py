import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vigie.data.parts import Sample
from vigie.domain import Box, Detection, LabelledBox
from vigie.errors import BadData, BadPicture
from vigie.pictures import Picture
from vigie.resizing import InputSize
from vigie.training.evaluating.coco import TWELVE
from vigie.training.evaluating.evaluation import Evaluation, evaluate
from vigie.training.evaluating.report import write_report

LABELS = ("cat", "dog")
HERE = Box(10, 10, 110, 110)
THERE = Box(200, 200, 300, 300)
NOWHERE = Box(400, 10, 500, 110)


class Prepared:
    """Gives the detections that it was made with, in the order of the pictures."""

    def __init__(self, *entries: list[Detection] | BadPicture) -> None:
        self._entries = list(entries)

    @property
    def labels(self) -> Sequence[str]:
        return LABELS

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        now, self._entries = self._entries[: len(pictures)], self._entries[len(pictures) :]
        return now


def picture(number: int, *objects: LabelledBox) -> Sample:
    return Sample(number, f"{number}.jpg", Picture.from_pixels(np.zeros((480, 640, 3), np.uint8)), objects)


def run(samples: Sequence[Sample], *entries: list[Detection] | BadPicture) -> Evaluation:
    return evaluate(Prepared(*entries), samples, labels=LABELS, progress=False)


def test_a_false_alarm_between_two_right_boxes_costs_what_coco_says() -> None:
    found = run(
        [picture(1, LabelledBox("cat", HERE)), picture(2, LabelledBox("cat", THERE))],
        [Detection("cat", 0.9, HERE), Detection("cat", 0.8, NOWHERE)],
        [Detection("cat", 0.7, THERE)],
    )
    # Precision is 1 up to recall .5 (51 of COCO's 101 points) and 2/3 behind it.
    expected = (51 + 50 * 2 / 3) / 101
    assert found.per_class["cat"].ap50 == pytest.approx(expected)
    assert found.per_class["cat"].ap == pytest.approx(expected)
    assert found.coco["mAP50"] == pytest.approx(expected)
    assert found.per_class["cat"].precision_50[50] == pytest.approx(1)
    assert found.per_class["cat"].precision_50[51] == pytest.approx(2 / 3)
    assert found.per_class["cat"].score_50[51] == pytest.approx(0.7)


def test_a_loose_box_counts_up_to_its_overlap() -> None:
    loose = Box(10, 10, 72, 110)  # IoU .62: right at .5, .55 and .6 of ten thresholds
    found = run([picture(1, LabelledBox("cat", HERE))], [Detection("cat", 0.9, loose)])
    assert found.coco["mAP"] == pytest.approx(0.3)
    assert found.coco["mAP50"] == pytest.approx(1)
    assert found.coco["mAP75"] == pytest.approx(0)


def test_the_right_box_with_the_wrong_label_is_wrong() -> None:
    found = run(
        [picture(1, LabelledBox("cat", HERE), LabelledBox("dog", THERE))],
        [Detection("dog", 0.9, HERE), Detection("dog", 0.8, THERE)],
    )
    assert found.per_class["cat"].ap == 0
    assert found.per_class["dog"].ap == pytest.approx(0.5)
    assert found.coco["mAP"] == pytest.approx(0.25)


def test_a_label_without_true_boxes_is_null_and_leaves_the_mean_alone() -> None:
    found = run([picture(1, LabelledBox("cat", HERE))], [Detection("cat", 0.9, HERE), Detection("dog", 0.9, THERE)])
    assert found.to_json()["per_class"]["dog"] == {
        "AP": None,
        "AP50": None,
        "AR": None,
        "VOC_AP50": None,
        "count": 0,
    }
    assert found.coco["mAP"] == pytest.approx(1)


def test_no_detection_at_all_scores_zero() -> None:
    found = run([picture(1, LabelledBox("cat", HERE))], [])
    assert (found.coco["mAP"], found.coco["AR100"], found.per_class["cat"].ap) == (0, 0, 0)


def test_pictures_with_nothing_on_them_have_no_precision() -> None:
    found = run([picture(1)], [Detection("cat", 0.9, HERE)])
    assert all(value is None for value in found.coco.values())


def test_no_pictures_are_refused() -> None:
    with pytest.raises(BadData, match="no picture to evaluate on"):
        run([])


def test_a_bad_picture_is_named() -> None:
    with pytest.raises(BadData, match=r"^2\.jpg: not a picture"):
        run([picture(1), picture(2)], [], BadPicture("not a picture"))


def test_a_label_that_the_model_lacks_is_named() -> None:
    with pytest.raises(BadData, match=r"1\.jpg: is marked with bird, evaluated are cat, dog"):
        run([picture(1, LabelledBox("bird", HERE))], [])


def test_without_intervals_the_numbers_are_the_same_and_no_interval_is_known() -> None:
    samples = [picture(1, LabelledBox("cat", HERE), LabelledBox("dog", THERE))]
    entries = [Detection("cat", 0.9, HERE)]
    quick = evaluate(Prepared(entries), samples, labels=LABELS, intervals=False, progress=False)
    assert quick.coco == run(samples, entries).coco
    metrics = quick.to_json()["intervals"]
    assert (metrics["mAP"], metrics["mAP50"], metrics["AP50"]) == (None, None, {"cat": None, "dog": None})


def test_max_pictures_takes_the_first() -> None:
    samples = [picture(number, LabelledBox("cat", HERE)) for number in range(12)]
    right = [Detection("cat", 0.9, HERE)]
    found = evaluate(Prepared(*[right] * 12), samples, labels=LABELS, max_pictures=9, progress=False)
    assert (found.pictures, found.per_class["cat"].count) == (9, 9)


def random_boxes(rng: np.random.Generator, count: int) -> list[Box]:
    corners, sides = rng.uniform(0, 300, (count, 2)), rng.uniform(10, 150, (count, 2))
    return [Box(*corner, *(corner + side)) for corner, side in zip(corners, sides, strict=True)]


def moved(rng: np.random.Generator, box: Box) -> Box:
    shift = rng.normal(0, 0.12, 4) * [box.width, box.height, box.width, box.height]
    return Box(box.left + shift[0] / 4, box.top + shift[1] / 4, box.right + shift[2], box.bottom + shift[3])


def test_the_twelve_numbers_are_those_of_pycocotools() -> None:
    rng = np.random.default_rng(7)
    samples, entries, truth, rows = [], [], [], []
    for number in range(1, 31):
        boxes = random_boxes(rng, int(rng.integers(0, 6)))
        objects = [LabelledBox(str(rng.choice(LABELS)), box) for box in boxes]
        found = [Detection(o.label, float(rng.uniform()), moved(rng, o.box)) for o in objects if rng.uniform() < 0.8]
        found += [Detection(str(rng.choice(LABELS)), float(rng.uniform()), box) for box in random_boxes(rng, 2)]
        samples.append(picture(number, *objects))
        entries.append(found)
        truth += [
            {
                "id": len(truth) + place,
                "image_id": number,
                "category_id": LABELS.index(o.label) + 1,
                "bbox": [o.box.left, o.box.top, o.box.width, o.box.height],
                "area": o.box.area,
                "iscrowd": 0,
            }
            for place, o in enumerate(objects, start=1)
        ]
        rows += [
            [number, d.box.left, d.box.top, d.box.width, d.box.height, d.score, LABELS.index(d.label) + 1]
            for d in found
        ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": n} for n in range(1, 31)],
            "categories": [{"id": 1}, {"id": 2}],
            "annotations": truth,
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(np.array(rows)), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    expected = dict(zip(TWELVE, judge.stats, strict=True))
    assert 0.1 < expected["mAP"] < 0.9
    result = run(samples, *entries)
    assert dict(result.coco) == pytest.approx(expected)
    assert np.mean([found.ap for found in result.per_class.values()]) == pytest.approx(expected["mAP"])


def test_metrics_and_figures_are_written(tmp_path: Path) -> None:
    found = run([picture(1, LabelledBox("cat", HERE))], [Detection("cat", 0.9, HERE)])
    path = write_report(found, tmp_path / "reports")
    metrics = json.loads(path.read_text())
    assert path.name == "metrics.json"
    assert metrics["per_class"] == {
        "cat": {"AP": 1.0, "AP50": 1.0, "AR": 1.0, "VOC_AP50": 1.0, "count": 1},
        "dog": {"AP": None, "AP50": None, "AR": None, "VOC_AP50": None, "count": 0},
    }
    assert [name for name in TWELVE if name not in metrics] == []
    assert (metrics["mAP"], metrics["AR_small"], metrics["pictures"], metrics["boxes"]) == (1.0, None, 1, 1)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "metrics.json",
        "pictures.jsonl",
        "precision_recall.png",
        "report.html",
    ]
    (line,) = (path.parent / "pictures.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "filename": "1.jpg",
        "width": 640,
        "height": 480,
        "truth": [{"label": "cat", "box": [10, 10, 110, 110]}],
        "found": [
            {"label": "cat", "score": 0.9, "box": [10, 10, 110, 110], "kind": "right", "truth": 0, "iou": 1.0},
        ],
        "unfound": [],
        "missed": [],
    }


def test_metrics_hold_every_measure(tmp_path: Path) -> None:
    samples = [picture(1, LabelledBox("cat", HERE), LabelledBox("dog", THERE)), picture(2)]
    entries = [[Detection("cat", 0.9, HERE)], [Detection("cat", 0.8, NOWHERE)]]
    found = evaluate(Prepared(*entries), samples, labels=LABELS, input_size=InputSize(320, 240), progress=False)
    metrics = json.loads(write_report(found, tmp_path).read_text())
    assert metrics["intervals"]["AP50"]["dog"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert metrics["best_thresholds"] == {
        "cat": {"score": 0.9, "precision": 1.0, "recall": 1.0, "f1": 1.0},
        "dog": None,
    }
    curves = metrics["thresholds"]
    assert (curves["score"][:3], len(curves["score"])) == ([0.0, 0.01, 0.02], 101)
    assert curves["per_class"]["cat"]["precision"] == [0.5] * 81 + [1.0] * 10 + [None] * 10
    assert curves["per_class"]["cat"]["recall"] == [1.0] * 91 + [0.0] * 10
    assert curves["per_class"]["dog"]["f1"] == [0.0] * 101
    assert metrics["confusion"] == {
        "score": 0.5,
        "labels": ["cat", "dog", "background"],
        "counts": [[1, 0, 0], [0, 0, 1], [1, 0, 0]],
    }
    assert {kind: error["count"] for kind, error in metrics["tide"].items() if error["count"]} == {"Bkg": 1, "Miss": 1}
    assert metrics["tide"]["Miss"]["dAP"] == 0.5
    assert metrics["calibration"]["error"] == pytest.approx((0.1 + 0.8) / 2)
    assert [one["boxes"] for one in metrics["slices"]["size"]] == [0, 0, 0, 2, 0, 0]
    assert [one["boxes"] for one in metrics["slices"]["crowding"]] == [0, 2, 0, 0]
