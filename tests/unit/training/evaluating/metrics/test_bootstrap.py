import time

import numpy as np
import pytest

from vigie.domain import Box, Detection, LabelledBox
from vigie.training.evaluating.coco import coco_numbers
from vigie.training.evaluating.metrics.bootstrap import bootstrap, paired_difference, weighted_average_precision
from vigie.training.evaluating.metrics.matching import PictureResult, match

LABELS = ("cat", "dog")


def made(seed: int, pictures: int, *, objects: int = 4, false: int = 4, blur: float = 0.15) -> list[PictureResult]:
    """Grid cells with true boxes, found with a blur, and false boxes; no two scores are equal."""
    truths, rng = np.random.default_rng(1), np.random.default_rng(seed)
    results = []
    for _ in range(pictures):
        truth = []
        for cell in range(objects):
            side = truths.uniform(20, 90)
            truth.append(LabelledBox(str(truths.choice(LABELS)), Box(100 * cell, 0, 100 * cell + side, side)))
        found = []
        for one in truth:
            left = one.box.left + rng.normal(0, blur) * one.box.width
            box = Box(left, one.box.top, left + one.box.width, one.box.bottom)
            found.append(Detection(one.label, float(rng.uniform(0.3, 1)), box))
        found += [
            Detection(str(rng.choice(LABELS)), float(rng.uniform(0, 0.8)), Box(left, 300, left + 40, 340))
            for left in rng.uniform(0, 600, false)
        ]
        results.append(PictureResult(truth, found))
    return results


def test_a_weight_of_one_is_cocos_average_precision() -> None:
    results = made(3, 20)
    matches = match(results, LABELS)
    expected = coco_numbers(matches)
    for place, found in enumerate(matches):
        average = weighted_average_precision(found, np.ones((1, 20)))
        assert average[0] == pytest.approx(expected.precision[:, :, place].mean(axis=1), abs=1e-9)
        assert 0.2 < average[0].mean() < 0.9


def test_weights_count_as_repeated_pictures_do() -> None:
    results = made(4, 12)
    weights = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=5)
    assert weights.max() >= 3
    for label, found in enumerate(match(results, LABELS)):
        averages = weighted_average_precision(found, weights.astype(np.float64))
        for row, average in zip(weights, averages, strict=True):
            repeated = [result for result, times in zip(results, row, strict=True) for _ in range(times)]
            expected = coco_numbers(match(repeated, LABELS)).precision[:, :, label].mean(axis=1)
            assert average == pytest.approx(expected, abs=1e-9)


def test_the_interval_holds_the_value_and_narrows_with_more_pictures() -> None:
    few, many = (bootstrap(match(made(5, n), LABELS), n, resamples=300) for n in (40, 640))
    for found in (few, many):
        assert found.mean_ap is not None
        assert 0 < found.mean_ap.low < found.mean_ap.value < found.mean_ap.high < 1
        assert all(one is not None for one in found.ap50)
    assert few.mean_ap is not None
    assert many.mean_ap is not None
    # 16 times the pictures: a quarter of the width, by the square root.
    assert (many.mean_ap.high - many.mean_ap.low) / (few.mean_ap.high - few.mean_ap.low) == pytest.approx(0.25, abs=0.1)


def test_the_interval_is_as_wide_as_fresh_pictures_spread() -> None:
    fresh = []
    for seed in range(60):
        value = coco_numbers(match(made(100 + seed, 40), LABELS)).summary["mAP"]
        fresh.append(value or 0.0)
    found = bootstrap(match(made(100, 40), LABELS), 40, resamples=300).mean_ap
    assert found is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * float(np.std(fresh)), rel=0.4)


def test_the_same_seed_gives_the_same_interval() -> None:
    matches = match(made(6, 15), LABELS)
    assert bootstrap(matches, 15, resamples=150) == bootstrap(matches, 15, resamples=150)
    assert bootstrap(matches, 15, resamples=150) != bootstrap(matches, 15, resamples=150, seed=1)


def test_a_label_without_true_boxes_has_no_interval() -> None:
    found = bootstrap(match(made(7, 10), ("cat", "bird")), 10, resamples=50)
    assert found.ap50[1] is None
    assert found.mean_ap50 == found.ap50[0]


def test_a_detector_differs_from_itself_by_nothing() -> None:
    matches = match(made(8, 10), LABELS)
    found = paired_difference(matches, matches, 10, resamples=50).mean_ap
    assert found is not None
    assert (found.value, found.low, found.high, found.excludes_zero) == (0, 0, 0, False)


def test_a_paired_difference_tells_a_better_detector_from_noise() -> None:
    sharp, blurred, other = (made(seed, 40, blur=blur) for seed, blur in ((9, 0.02), (9, 0.25), (10, 0.02)))
    better = paired_difference(match(sharp, LABELS), match(blurred, LABELS), 40, resamples=300).mean_ap
    alike = paired_difference(match(sharp, LABELS), match(other, LABELS), 40, resamples=300).mean_ap
    assert better is not None
    assert alike is not None
    assert better.excludes_zero
    assert better.value > 0.1
    assert not alike.excludes_zero


def test_a_thousand_resamples_of_a_hundred_pictures_take_seconds() -> None:
    results = made(11, 100, objects=8, false=92)
    matches = match(results, LABELS)
    started = time.perf_counter()
    assert bootstrap(matches, 100).mean_ap is not None
    assert time.perf_counter() - started < 20
