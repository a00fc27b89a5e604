import json
from pathlib import Path

import pandas as pd
import pytest

from vigie.cartoons import LABELS
from vigie.data.balance import class_factors, effect, repeat_factors
from vigie.data.manifest import FILE, file_facts, load_manifest
from vigie.data.prepare import prepare
from vigie.experiment import Balance

COMMON, RARE, ABSENT = LABELS
ROOT = 1.5**0.5  # of .3 / .2


@pytest.fixture
def records(small_set: Path, tmp_path: Path) -> Path:
    """Ten pictures to train on: eight show the common class (one of them thrice), two the rare, one nothing."""
    folder = tmp_path / "records"
    prepare(small_set, folder, classes=LABELS, progress=False)
    shown = [("0", COMMON)] * 3 + [(str(number), COMMON) for number in range(1, 8)]
    shown += [("7", RARE), ("8", RARE), ("8", RARE)]
    rows = [{"filename": f"{name}.jpg", "width": 8, "height": 8, "class": label, "xmin": 1, "ymin": 1, "xmax": 4,
             "ymax": 4} for name, label in shown]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "train_labels.csv", index=False)
    values = json.loads((folder / FILE).read_text())
    values["parts"]["train"] |= {"pictures": 10, "without_objects": 1, "boxes": {COMMON: 10, RARE: 3, ABSENT: 0}}
    values["files"]["train_labels.csv"] = file_facts(folder / "train_labels.csv").model_dump()
    (folder / FILE).write_text(json.dumps(values))
    assert load_manifest(folder).parts["train"].pictures == 10
    return folder


def test_repeat_factors_are_those_of_lvis() -> None:
    factors = repeat_factors({"common": 500, "at_it": 10, "rare": 1, "absent": 0}, 10_000, threshold=0.001)
    assert factors == pytest.approx({"common": 1, "at_it": 1, "rare": 10**0.5, "absent": 1})


def test_a_picture_comes_as_often_as_its_rarest_class_asks(records: Path) -> None:
    table = effect(records, Balance(method="repeat_factors", threshold=0.3))
    assert table.index.tolist() == list(LABELS)
    assert table["pictures"].tolist() == [8, 2, 0]
    assert table["boxes"].tolist() == [10, 3, 0]
    assert table["share"].tolist() == pytest.approx([10 / 13, 3 / 13, 0])
    assert table["factor"].tolist() == pytest.approx([1, ROOT, 1])
    # One common object stands beside a rare one.
    assert table["pictures_after"].tolist() == pytest.approx([7 + ROOT, 2 * ROOT, 0])
    assert table["boxes_after"].tolist() == pytest.approx([9 + ROOT, 3 * ROOT, 0])
    assert table["share_after"].tolist() == pytest.approx([(9 + ROOT) / (9 + 4 * ROOT), 3 * ROOT / (9 + 4 * ROOT), 0])


def test_weights_make_a_rare_box_count_for_more_and_have_the_mean_1_over_all_boxes(records: Path) -> None:
    table = effect(records, Balance(method="class_weights", threshold=0.3))
    mean = (10 + 3 * ROOT) / 13
    assert table["factor"].tolist() == pytest.approx([1 / mean, ROOT / mean, 1 / mean])
    assert table["pictures_after"].tolist() == [8, 2, 0]
    assert table["boxes_after"].tolist() == pytest.approx([10 / mean, 3 * ROOT / mean, 0])
    assert table["boxes_after"].sum() == pytest.approx(13)
    assert table["share_after"].sum() == pytest.approx(1)


def test_without_balancing_everything_stays(records: Path) -> None:
    table = effect(records, Balance())
    assert table["factor"].tolist() == [1, 1, 1]
    for column in ("pictures", "boxes", "share"):
        assert table[f"{column}_after"].tolist() == table[column].tolist()


def test_factors_are_named_in_the_order_of_the_classes(records: Path) -> None:
    factors = class_factors(records, Balance(method="repeat_factors", threshold=0.8))
    assert list(factors) == list(LABELS)
    assert list(factors.values()) == pytest.approx([1, 2, 1])
