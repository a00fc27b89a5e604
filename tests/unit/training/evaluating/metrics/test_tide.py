import pytest

from vigie.domain import Box, Detection, LabelledBox
from vigie.training.evaluating.metrics.matching import PictureResult, match
from vigie.training.evaluating.metrics.tide import ERRORS, Tide, tide
from vigie.training.evaluating.metrics.verdicts import Kind, Verdict, verdicts

LABELS = ("cat", "dog")
ONE, TWO, THREE = (Box(100.0 * n, 0, 100.0 * n + 50, 50) for n in range(3))
NOWHERE = Box(400, 400, 450, 450)
LOOSE = Box(100, 0, 120, 50)  # IoU .4 with TWO


def judged(result: PictureResult) -> tuple[Tide, list[Verdict]]:
    found = verdicts([result], LABELS, match([result], LABELS))
    costs = tide([result], LABELS, found)
    assert costs is not None
    return costs, list(found[0].verdicts)


def costs_of(truth: list[LabelledBox], *found: Detection) -> dict[str, float]:
    costs, _ = judged(PictureResult(truth, found))
    return {kind.value: value for kind, value in costs.d_ap.items() if value}


def test_each_error_has_its_kind() -> None:
    truth = [LabelledBox("cat", ONE), LabelledBox("cat", TWO), LabelledBox("dog", THREE)]
    found = [
        Detection("cat", 0.9, ONE),
        Detection("cat", 0.8, ONE),
        Detection("cat", 0.7, LOOSE),
        Detection("cat", 0.6, THREE),
        Detection("dog", 0.5, LOOSE),
        Detection("dog", 0.4, NOWHERE),
    ]
    costs, kinds = judged(PictureResult(truth, found))
    assert [(one.kind, one.truth) for one in kinds] == [
        (Kind.RIGHT, 0),
        (Kind.DUPE, 0),
        (Kind.LOC, 1),
        (Kind.CLS, 2),
        (Kind.BOTH, -1),
        (Kind.BKG, -1),
    ]
    assert kinds[2].iou == pytest.approx(0.4)
    assert costs.count == {**dict.fromkeys(ERRORS, 1), Kind.MISS: 0}  # TWO and THREE would have been found


# One label and two true boxes: 51 of COCO's 101 recalls lie up to .5, 50 above.
TRUTH = [LabelledBox("cat", ONE), LabelledBox("cat", TWO)]
HALF = 51 / 101


def test_a_missed_box_costs_its_recall() -> None:
    assert costs_of(TRUTH, Detection("cat", 0.9, ONE)) == {"Miss": pytest.approx(1 - HALF)}


def test_a_false_alarm_costs_the_precision_below_it() -> None:
    found = (Detection("cat", 0.9, ONE), Detection("cat", 0.8, NOWHERE), Detection("cat", 0.7, TWO))
    assert costs_of(TRUTH, *found) == {"Bkg": pytest.approx(50 / 101 * (1 - 2 / 3))}


def test_a_duplicate_costs_the_same() -> None:
    found = (Detection("cat", 0.9, ONE), Detection("cat", 0.8, ONE), Detection("cat", 0.7, TWO))
    assert costs_of(TRUTH, *found) == {"Dupe": pytest.approx(50 / 101 * (1 - 2 / 3))}


def test_a_loose_box_becomes_right_and_its_true_box_is_not_missed() -> None:
    assert costs_of(TRUTH, Detection("cat", 0.9, ONE), Detection("cat", 0.8, LOOSE)) == {"Loc": pytest.approx(1 - HALF)}


def test_of_two_loose_boxes_the_better_becomes_right_and_the_other_vanishes() -> None:
    loose = (Detection("cat", 0.8, LOOSE), Detection("cat", 0.7, LOOSE))
    assert costs_of(TRUTH, Detection("cat", 0.9, ONE), *loose) == {"Loc": pytest.approx(1 - HALF)}


def test_a_loose_box_on_a_found_one_vanishes() -> None:
    found = (Detection("cat", 0.9, TWO), Detection("cat", 0.8, LOOSE), Detection("cat", 0.7, ONE))
    assert costs_of(TRUTH, *found) == {"Loc": pytest.approx(50 / 101 * (1 - 2 / 3))}


def test_a_wrong_label_is_put_right_under_the_label_of_the_true_box() -> None:
    truth = [LabelledBox("cat", ONE), LabelledBox("dog", TWO)]
    found = (Detection("cat", 0.9, TWO), Detection("cat", 0.8, ONE))
    # cat: AP50 .5 becomes 1; dog: 0 becomes 1.
    assert costs_of(truth, *found) == {"Cls": pytest.approx((0.5 + 1) / 2)}


def test_a_detector_that_finds_nothing_lacks_all_by_missing() -> None:
    assert costs_of(TRUTH) == {"Miss": pytest.approx(1)}


def test_without_true_boxes_there_is_nothing_to_cost() -> None:
    result = PictureResult([], [Detection("cat", 0.9, ONE)])
    assert tide([result], LABELS, verdicts([result], LABELS, match([result], LABELS))) is None


def test_what_coco_does_not_count_has_no_verdict() -> None:
    result = PictureResult(TRUTH, [Detection("bird", 0.9, ONE), Detection("cat", 0.5, ONE)])
    assert [one.place for one in judged(result)[1]] == [1]
