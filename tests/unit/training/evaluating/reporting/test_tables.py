import pandas as pd
from faked_evaluations import cat, evaluated, found, sample

from vigie.training.evaluating.compare import compare
from vigie.training.evaluating.reporting.tables import (
    as_html,
    class_table,
    coco_table,
    confusion_table,
    difference_table,
)

SAMPLES = [sample(0, cat(100, 100)), sample(1, cat(100, 100))]
MIXED = evaluated(SAMPLES, [[found("cat", 0.9, 100, 100)], [found("dog", 0.8, 100, 100)]])


def test_the_table_of_labels_has_every_number_of_a_label() -> None:
    table = class_table(MIXED)
    assert table.loc["cat"].round(3).to_dict() == {
        "boxes": 2, "AP": 0.505, "AP50": 0.505, "AP50 low": 0.0, "AP50 high": 1.0, "AR": 0.5, "VOC AP50": 0.5,
        "best threshold": 0.9, "precision": 1.0, "recall": 0.5, "F1": 0.667,
    }  # fmt: skip
    assert table.loc["dog", "boxes"] == 0
    assert table.loc["dog"].drop("boxes").isna().all()


def test_labels_taken_for_others_are_counted_and_missed_ones_are_not() -> None:
    assert confusion_table(MIXED).to_numpy().tolist() == [["cat", "dog", 1, 0.5]]
    assert confusion_table(evaluated(SAMPLES, [[], []])).empty


def test_the_twelve_numbers_stand_with_what_they_mean() -> None:
    table = coco_table(MIXED)
    assert table.index.tolist() == list(MIXED.coco)
    assert table.loc["mAP50", "meaning"] == "AP at IoU .5"


def test_pictures_that_differ_are_told_with_by_how_much() -> None:
    other = evaluated(SAMPLES, [[], []])
    assert difference_table(compare(MIXED, other)).to_numpy().tolist() == [[0, 1], [1, 0]]


def test_a_table_as_html_rounds_and_escapes() -> None:
    table = pd.DataFrame({"name": ["a & b"], "count": [3], "value": [0.12345], "none": [float("nan")]})
    assert as_html(table) == (
        "<table class=numbers><thead><tr><th style=text-align:left>name<th>count<th>value<th>none</thead>"
        "<tbody><tr><td style=text-align:left>a &amp; b<td>3<td>0.123<td>&ndash;</tbody></table>"
    )
