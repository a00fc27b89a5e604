import pytest
from faked_evaluations import cat, evaluated, found, sample

from vigie.domain import Detection, LabelledBox
from vigie.training.evaluating.compare import compare
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.reporting.words import headline, judged, remarks

RIGHT, WRONG = [found("cat", 0.9, 100, 100)], [found("cat", 0.8, 300, 10)]


def of(*entries: list[Detection]) -> Evaluation:
    return evaluated([sample(number, cat(100, 100)) for number in range(len(entries))], entries)


def test_the_answer_is_one_line_with_its_intervals() -> None:
    assert headline(of(RIGHT, RIGHT)) == (
        "mAP 1.000 (95 %: 1.000 to 1.000), mAP50 1.000 (95 %: 1.000 to 1.000) "
        "on 2 pictures with 2 true boxes of 1 label."
    )
    nothing = evaluated([sample(0)], [WRONG])
    assert headline(nothing) == (
        "No true box is marked on the 1 picture: there is nothing to find, so nothing can be measured."
    )
    assert remarks(nothing) == []


def test_what_stands_out_is_said_in_sentences() -> None:
    samples = [sample(number, cat(100, 100)) for number in range(2)]
    samples.append(sample(2, cat(10, 10), LabelledBox("dog", cat(200, 100).box)))
    found_there = [RIGHT, WRONG, [found("dog", 0.9, 200, 100), found("cat", 0.3, 10, 10)]]
    assert remarks(evaluated(samples, found_there)) == [
        "Showing boxes from a score of 0.5 on, it finds 2 of 4 true boxes under their right label and shows 1 false "
        "ones.",
        "The weakest label is cat, AP50 0.554.",
        "What costs most is Miss (not found): mended, mAP50 would gain 0.140.",
        "Only 3 pictures: the intervals are narrower than they should be.",
    ]


@pytest.mark.parametrize(
    ("ours", "others", "said"),
    [
        ([RIGHT] * 30, [RIGHT] * 15 + [WRONG] * 15, "This model is better than the other by 0."),
        ([RIGHT] * 15 + [WRONG] * 15, [RIGHT] * 30, "This model is worse than the other by 0."),
        ([RIGHT] * 30, [RIGHT] * 29 + [WRONG], "mAP is no more than noise: "),
        ([RIGHT] * 3, [RIGHT] * 3, "The two do the same on every picture."),
    ],
)
def test_a_difference_is_told_with_whether_it_is_more_than_noise(
    ours: list[list[Detection]], others: list[list[Detection]], said: str
) -> None:
    assert said in judged(compare(of(*ours), of(*others)))


def test_without_true_boxes_two_cannot_be_compared() -> None:
    nothing = evaluated([sample(0)], [WRONG])
    assert judged(compare(nothing, nothing)) == "No true box is marked, so the two cannot be compared."
