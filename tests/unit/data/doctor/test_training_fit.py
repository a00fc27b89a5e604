"""Boxes at the training size, and the anchors that are to match them."""

from typing import Any

import numpy as np
import pytest

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.data.doctor.anchor_fit import ENOUGH, MATCH_IOU, best_ious, k_means_shapes, proposal
from vigie.data.doctor.boxes import iou_table
from vigie.data.doctor.check import check
from vigie.data.doctor.findings import Finding
from vigie.pictures import encode_jpeg


def boxes_of(seed: int, count: int, smallest: float, largest: float, side: int = 320) -> Any:
    random = np.random.default_rng(seed)
    sizes = np.exp(random.uniform(np.log(smallest), np.log(largest), (count, 1))) * random.uniform(0.7, 1.4, (count, 2))
    corners = random.uniform(0, 1, (count, 2)) * (side - sizes)
    return np.concatenate([corners, corners + sizes], axis=1)


@pytest.mark.parametrize("spec", [AnchorSpec(), AnchorSpec(min_level=4, scales=1, aspect_ratios=(1.5, 0.3), size=2.5)])
@pytest.mark.parametrize(("width", "height"), [(320, 320), (288, 160)])
def test_the_nearest_anchor_of_each_shape_is_the_best_of_all(spec: AnchorSpec, width: int, height: int) -> None:
    boxes = boxes_of(1, 60, 5, 150, side=160)
    anchors = anchors_yxyx_px(spec, width, height)[:, [1, 0, 3, 2]].astype(np.float64)
    np.testing.assert_allclose(best_ious(boxes, spec, width, height), iou_table(boxes, anchors).max(axis=1), atol=1e-5)


def test_k_means_finds_the_shapes_that_boxes_were_drawn_from() -> None:
    random = np.random.default_rng(3)
    drawn = np.array([[10.0, 20.0], [40.0, 40.0], [120.0, 60.0]])
    shapes = np.repeat(drawn, 100, axis=0) * random.uniform(0.95, 1.05, (300, 2))
    np.testing.assert_allclose(k_means_shapes(shapes, 3), drawn, rtol=0.02)


def test_a_single_box_is_a_shape_of_its_own() -> None:
    assert k_means_shapes(np.array([[3.0, 4.0]]), 9).tolist() == [[3.0, 4.0]]


def test_the_proposal_matches_enough_of_what_the_given_anchors_miss() -> None:
    boxes, spec = boxes_of(4, 500, 12, 30), AnchorSpec()
    assert (best_ious(boxes, spec, 320, 320) >= MATCH_IOU).mean() < ENOUGH
    better, share = proposal(boxes, spec, k_means_shapes(boxes[:, 2:] - boxes[:, :2], 9), 320, 320)
    assert share == (best_ious(boxes, better, 320, 320) >= MATCH_IOU).mean() >= ENOUGH
    assert AnchorSpec.model_validate(better.model_dump()) == better


def found_in(maker: Any, code: str, **options: Any) -> list[Finding]:
    return [found for found in check(maker.root, progress=False, **options).findings if found.code == code]


def test_tiny_boxes_are_measured_after_resizing_and_the_size_that_saves_them_is_told(maker: Any) -> None:
    maker.add("a", ("cat", 1, 1, 10, 10), ("cat", 51, 51, 110, 110))  # 10x10 px of 160x120
    [tiny] = found_in(maker, "box-tiny", input_size=(96, 96))
    assert (tiny.file, tiny.object, tiny.found) == (
        "annotations/a.xml",
        1,
        "its shorter side has 6.0 px at 96x96",
    )
    [share] = found_in(maker, "boxes-tiny", input_size=(96, 96))
    assert share.found == "1 of 2 boxes (50.0%) have a side under 8 px at 96x96"
    assert share.repair == "an input of 128x128 saves 90% of them: set model.input_width and input_height"
    assert not found_in(maker, "box-tiny", input_size=(128, 128))


def test_boxes_that_no_input_saves_call_for_parts(maker: Any) -> None:
    maker.add("a", ("cat", 1, 1, 2, 2), encoded=encode_jpeg(np.zeros((480, 640, 3), np.uint8)))
    [share] = found_in(maker, "boxes-tiny")
    assert share.repair.startswith("an input of 2560x2560 would save 90% of them, which is over the limit of 1536")


def test_anchors_that_miss_are_told_with_better_ones(maker: Any) -> None:
    maker.add("a", *(("cat", 5 + 12 * k, 5, 14 + 12 * k, 14) for k in range(12)))
    [miss] = found_in(maker, "anchors-miss")
    assert miss.found.startswith("the anchors match 0.0% of 12 boxes at IoU 0.5, under 90%")
    assert "20x27" in miss.found
    assert miss.repair.startswith("set model.anchors to ")
    assert not found_in(maker, "anchors-miss", anchors=AnchorSpec(size=2.75))
    assert not found_in(maker, "anchors-miss", anchors="auto")


def test_anchors_that_fit_the_boxes_best_and_still_miss_call_for_a_larger_input(maker: Any) -> None:
    maker.add("a", *(("cat", 5 + 12 * k, 5, 8 + 12 * k, 8) for k in range(12)))
    [miss] = found_in(maker, "anchors-miss", anchors="auto", input_size=(96, 96))
    assert miss.found.startswith("the anchors that fit the boxes best match 0.0% of 12 boxes")
    assert miss.repair == "no others of the same kind do better: enlarge the input"


def test_boxes_of_letterboxed_pictures_are_measured_as_they_come_to_the_input(maker: Any) -> None:
    maker.add("a", ("cat", 1, 1, 20, 20), encoded=encode_jpeg(np.zeros((80, 320, 3), np.uint8)))
    assert not found_in(maker, "box-tiny", input_size=(160, 160))  # stretched to 10x40
    [tiny] = found_in(maker, "box-tiny", input_size=(96, 96), resize="letterbox")
    assert tiny.found == "its shorter side has 6.0 px at 96x96"
