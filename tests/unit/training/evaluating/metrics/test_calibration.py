import pytest

from vigie.domain import Box, Detection, LabelledBox
from vigie.training.evaluating.metrics.calibration import calibration
from vigie.training.evaluating.metrics.matching import PictureResult, match

TRUE = [Box(100.0 * n, 0, 100.0 * n + 50, 50) for n in range(4)]
FALSE = [Box(100.0 * n, 300, 100.0 * n + 50, 350) for n in range(4)]


def test_the_error_is_the_weighted_distance_of_score_and_precision() -> None:
    found = [Detection("cat", 0.9, box) for box in [*TRUE[:3], FALSE[0]]] + [Detection("cat", 0.1, FALSE[1])]
    result = PictureResult([LabelledBox("cat", box) for box in TRUE], found)
    measured = calibration(match([result], ["cat"]))
    assert measured is not None
    # Four at .9 of which three are right, one at .1 that is wrong.
    assert measured.error == pytest.approx((4 * abs(0.9 - 0.75) + 1 * abs(0.1 - 0)) / 5)
    held = [(one.count, one.score, one.precision) for one in measured.bins if one.count]
    assert held == [(1, pytest.approx(0.1), 0.0), (4, pytest.approx(0.9), 0.75)]
    assert len(measured.bins) == 15


def test_the_ends_of_the_scores_have_a_bin() -> None:
    result = PictureResult([], [Detection("cat", score, FALSE[0]) for score in (0.0, 1.0)])
    measured = calibration(match([result], ["cat"]))
    assert measured is not None
    assert (measured.bins[0].count, measured.bins[-1].count, measured.error) == (1, 1, pytest.approx(0.5))


def test_without_detections_nothing_is_calibrated() -> None:
    assert calibration(match([PictureResult([LabelledBox("cat", TRUE[0])], [])], ["cat"])) is None
