"""Our counting beside pycocotools', which stands for COCO's own."""

import contextlib
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import needs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vigie.domain import Box, Detection, LabelledBox
from vigie.training.evaluating.coco import TWELVE, CocoNumbers, coco_numbers
from vigie.training.evaluating.metrics.matching import PictureResult, match, overlaps

EXACT = 1e-9


def numbers(results: Sequence[PictureResult], labels: Sequence[str]) -> CocoNumbers:
    return coco_numbers(match(results, labels))


def pycocotools_of(results: Sequence[PictureResult], labels: Sequence[str]) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(
            _coco([[(marked.label, marked.box, None) for marked in result.truth] for result in results], labels),
            _coco([[(seen.label, seen.box, seen.score) for seen in result.found] for result in results], labels),
            "bbox",
        )
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


def _coco(pictures: Sequence[Sequence[tuple[str, Box, float | None]]], labels: Sequence[str]) -> COCO:
    annotations: list[dict[str, Any]] = [
        {
            "image_id": picture,
            "category_id": labels.index(label) + 1,
            "bbox": [box.left, box.top, box.width, box.height],
            "area": box.area,
            "iscrowd": 0,
            "score": score,
        }
        for picture, boxes in enumerate(pictures, start=1)
        for label, box, score in boxes
    ]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in range(1, len(pictures) + 1)],
        "categories": [{"id": number, "name": label} for number, label in enumerate(labels, start=1)],
        "annotations": [{**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)],
    }
    coco.createIndex()
    return coco


def assert_equal(results: Sequence[PictureResult], labels: Sequence[str]) -> CocoNumbers:
    ours, judge = numbers(results, labels), pycocotools_of(results, labels)
    summary = [-1 if ours.summary[name] is None else ours.summary[name] for name in TWELVE]
    np.testing.assert_allclose(summary, judge.stats, rtol=0, atol=EXACT)
    np.testing.assert_allclose(ours.precision, judge.eval["precision"][:, :, :, 0, -1], rtol=0, atol=EXACT)
    np.testing.assert_allclose(ours.recall, judge.eval["recall"][:, :, 0, -1], rtol=0, atol=EXACT)
    reached = ours.precision > 0
    np.testing.assert_allclose(ours.scores[reached], judge.eval["scores"][:, :, :, 0, -1][reached], rtol=0, atol=EXACT)
    return ours


def moved(rng: np.random.Generator, box: Box, share: float) -> Box:
    left, top = rng.normal(0, share, 2) * (box.width, box.height) + (box.left, box.top)
    width, height = np.exp(rng.normal(0, share, 2)) * (box.width, box.height)
    return Box(float(left), float(top), float(left + width), float(top + height))


def test_numbers_on_real_pictures_are_those_of_pycocotools() -> None:
    content = json.loads((needs.shared_data() / "coco_val200" / "instances.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    marked = defaultdict(list)
    for annotation in content["annotations"]:
        left, top, width, height = annotation["bbox"]
        box = Box(left, top, left + width, top + height)
        marked[annotation["image_id"]].append(LabelledBox(names[annotation["category_id"]], box))
    rng = np.random.default_rng(5)
    labels = list(names.values())
    results = []
    for image in content["images"]:
        truth = marked[image["id"]]
        # Two detections a true box, half of them coarse, some under another label, and false ones.
        found = [
            Detection(
                str(rng.choice(labels)) if rng.uniform() < 0.1 else one.label,
                round(float(rng.uniform()), 2),
                moved(rng, one.box, float(rng.choice([0.03, 0.15]))),
            )
            for one in truth * 2
            if rng.uniform() < 0.8
        ]
        found += [Detection(str(rng.choice(labels)), round(float(rng.uniform()), 2), one.box) for one in truth[:3]]
        results.append(PictureResult(truth, found))
    ours = assert_equal(results, labels)
    assert 0.2 < (ours.summary["mAP"] or 0) < 0.8
    assert all(value is not None for value in ours.summary.values())


# Few corners and few scores, so that equal overlaps and equal scores are common; sides reach all of COCO's areas.
corners = st.sampled_from([0.0, 3.3, 20.0, 50.0])
sides = st.sampled_from([8.0, 16.0, 32.0, 40.1, 96.0, 120.0])
boxes = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), corners, corners, sides, sides)
some_labels = st.sampled_from(["cat", "dog"])
scores = st.sampled_from([0.01, 0.3, 0.5, 0.50001, 0.9, 1.0])
pictures = st.builds(
    PictureResult,
    st.lists(st.builds(LabelledBox, some_labels, boxes), max_size=6),
    st.lists(st.builds(Detection, some_labels, scores, boxes), max_size=14),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(pictures, min_size=1, max_size=4))
def test_numbers_on_any_boxes_are_those_of_pycocotools(results: list[PictureResult]) -> None:
    assert_equal(results, ["cat", "dog", "bird"])


def test_over_a_hundred_detections_of_a_label_the_best_hundred_count() -> None:
    rng = np.random.default_rng(2)
    truth = [LabelledBox("cat", Box(20.0 * n, 0, 20.0 * n + 15, 15)) for n in range(70)]
    found = [Detection("cat", float(rng.uniform()), moved(rng, one.box, 0.1)) for one in truth * 2]
    ours = assert_equal([PictureResult(truth, found)], ["cat"])
    assert (ours.summary["AR1"] or 0) < (ours.summary["AR10"] or 0) < (ours.summary["AR100"] or 0) < 1


def test_overlaps_are_those_of_the_domain() -> None:
    here, there, away = Box(0, 0, 10, 10), Box(5, 0, 15, 10), Box(90, 90, 95, 95)
    assert overlaps([here, there], [here, away]) == pytest.approx(np.array([[1, 0], [here.iou(there), 0]]))
    assert overlaps([], [here]).shape == (0, 1)


def test_the_voc_area_takes_every_point_of_the_curve() -> None:
    # Right, wrong, right, and a third true box that is never found: 1/3 at precision 1, 1/3 at 2/3, 1/3 at 0.
    one, two, three = (Box(100.0 * n, 0, 100.0 * n + 50, 50) for n in range(3))
    truth = [LabelledBox("cat", box) for box in (one, two, three)]
    found = [Detection("cat", 0.9, one), Detection("cat", 0.8, Box(500, 500, 600, 600)), Detection("cat", 0.7, two)]
    ours = numbers([PictureResult(truth, found)], ["cat", "dog"])
    assert ours.voc_ap50 == (pytest.approx((1 + 2 / 3) / 3), None)
    assert ours.average_recall(0) == pytest.approx(2 / 3)
