from vigie.domain import Box, Detection, LabelledBox
from vigie.training.evaluating.metrics.confusion import confusion, pairs
from vigie.training.evaluating.metrics.matching import PictureResult

HERE, THERE, NOWHERE = Box(0, 0, 50, 50), Box(100, 0, 150, 50), Box(300, 300, 350, 350)
NEAR = Box(5, 0, 55, 50)  # IoU with HERE: 45 / 55


def test_a_confusion_a_miss_and_a_false_alarm_each_have_their_cell() -> None:
    result = PictureResult(
        [LabelledBox("cat", HERE), LabelledBox("dog", THERE), LabelledBox("cat", Box(200, 0, 250, 50))],
        [Detection("dog", 0.9, HERE), Detection("dog", 0.8, THERE), Detection("cat", 0.7, NOWHERE)],
    )
    found = confusion([result], ["cat", "dog"])
    assert found.labels == ("cat", "dog", "background")
    #                                cat dog background
    assert found.counts.tolist() == [[0, 1, 1], [0, 1, 0], [1, 0, 0]]


def test_detections_below_the_score_are_not_there() -> None:
    result = PictureResult([LabelledBox("cat", HERE)], [Detection("cat", 0.5, HERE), Detection("cat", 0.49, NOWHERE)])
    assert confusion([result], ["cat"]).counts.tolist() == [[1, 0], [0, 0]]
    assert confusion([result], ["cat"], score=0.51).counts.tolist() == [[0, 1], [0, 0]]


def test_the_highest_overlap_is_paired_first_whatever_label_and_score_say() -> None:
    truth = [LabelledBox("cat", HERE)]
    assert pairs([Detection("cat", 0.9, NEAR), Detection("dog", 0.1, HERE)], truth) == [(1, 0)]


def test_of_equal_overlaps_the_right_label_is_paired_then_the_higher_score() -> None:
    truth = [LabelledBox("cat", HERE)]
    assert pairs([Detection("dog", 0.9, HERE), Detection("cat", 0.1, HERE)], truth) == [(1, 0)]
    assert pairs([Detection("cat", 0.1, HERE), Detection("cat", 0.9, HERE)], truth) == [(1, 0)]


def test_an_overlap_under_a_half_is_no_pair() -> None:
    assert pairs([Detection("cat", 0.9, Box(0, 0, 50, 24))], [LabelledBox("cat", HERE)]) == []
    assert pairs([Detection("cat", 0.9, Box(0, 0, 50, 25))], [LabelledBox("cat", HERE)]) == [(0, 0)]
