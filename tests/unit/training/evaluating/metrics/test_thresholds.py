import numpy as np
import pytest

from vigie.domain import Box, Detection, LabelledBox
from vigie.training.evaluating.metrics.matching import PictureResult, match
from vigie.training.evaluating.metrics.thresholds import THRESHOLDS, OperatingPoint, ThresholdCurve, threshold_curve

HERE, THERE, NOWHERE = Box(0, 0, 50, 50), Box(100, 0, 150, 50), Box(300, 300, 350, 350)


def curve(truth: list[Box], found: list[tuple[float, Box]]) -> ThresholdCurve | None:
    result = PictureResult(
        [LabelledBox("cat", box) for box in truth], [Detection("cat", score, box) for score, box in found]
    )
    return threshold_curve(match([result], ["cat"])[0])


def test_each_score_that_occurs_is_a_threshold() -> None:
    found = curve([HERE, THERE], [(0.9, HERE), (0.6, NOWHERE), (0.6, NOWHERE), (0.3, THERE)])
    assert found is not None
    assert found.score.tolist() == [0.9, 0.6, 0.3]
    assert found.precision == pytest.approx([1, 1 / 3, 1 / 2])
    assert found.recall == pytest.approx([1 / 2, 1 / 2, 1])
    assert found.f1 == pytest.approx([2 / 3, 2 / 5, 2 / 3])


def test_the_best_threshold_has_the_highest_f1_and_of_equal_ones_the_highest_score() -> None:
    found = curve([HERE, THERE], [(0.9, HERE), (0.6, NOWHERE), (0.6, NOWHERE), (0.3, THERE)])
    assert found is not None
    assert found.best() == OperatingPoint(0.9, 1.0, 0.5, pytest.approx(2 / 3))


def test_a_threshold_of_ones_own_takes_all_that_reach_it() -> None:
    found = curve([HERE, THERE], [(0.9, HERE), (0.6, NOWHERE)])
    assert found is not None
    assert found.at(0.6) == OperatingPoint(0.6, 0.5, 0.5, 0.5)
    assert found.at(0.61) == OperatingPoint(0.61, 1.0, 0.5, pytest.approx(2 / 3))
    assert found.at(0.95) == OperatingPoint(0.95, 1.0, 0.0, 0.0)


def test_where_nothing_is_right_there_is_no_best_threshold() -> None:
    for seen in ([], [(0.9, NOWHERE)]):
        found = curve([HERE], seen)
        assert found is not None
        assert found.best() is None


def test_without_true_boxes_there_is_no_curve() -> None:
    assert curve([], [(0.9, HERE)]) is None


def test_a_curve_is_sampled_at_every_hundredth_as_it_stands_there() -> None:
    found = curve([HERE, THERE], [(0.9, HERE), (0.41, NOWHERE), (0.405, THERE)])
    assert found is not None
    precision, recall, f1 = found.sampled()
    for place, threshold in enumerate(THRESHOLDS):
        at = found.at(threshold)
        assert (recall[place], f1[place]) == (at.recall, at.f1)
        assert precision[place] == at.precision if threshold <= 0.9 else np.isnan(precision[place])
    assert (THRESHOLDS[41], recall[40], recall[41], precision[41]) == (0.41, 1.0, 0.5, 0.5)
