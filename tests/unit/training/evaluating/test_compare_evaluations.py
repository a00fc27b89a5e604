from collections.abc import Sequence

import numpy as np
import pytest
from faked_evaluations import Finds

from vigie.data.parts import Sample
from vigie.domain import Box, Detection, LabelledBox
from vigie.errors import BadData
from vigie.pictures import Picture
from vigie.training.evaluating.compare import PictureDifference, compare
from vigie.training.evaluating.evaluation import Evaluation, evaluate

HERE, NOWHERE = Box(10, 10, 50, 50), Box(60, 60, 90, 90)
PICTURE = Picture.from_pixels(np.zeros((100, 100, 3), np.uint8))


def evaluated(*entries: list[Detection], labels: Sequence[str] = ("cat",), first: int = 0) -> Evaluation:
    samples = [
        Sample(number, f"{number}.jpg", PICTURE, (LabelledBox("cat", HERE),))
        for number in range(first, first + len(entries))
    ]
    return evaluate(Finds(labels, entries), samples, labels=labels, progress=False)


RIGHT = [Detection("cat", 0.9, HERE)]
FALSE = [Detection("cat", 0.95, NOWHERE)]


def test_a_better_detector_is_told_with_its_interval_and_the_pictures() -> None:
    found = compare(evaluated(*[RIGHT] * 30), evaluated(*[RIGHT] * 15, *[FALSE] * 15))
    assert found.difference.mean_ap is not None
    assert 0 < found.difference.mean_ap.low <= found.difference.mean_ap.value <= found.difference.mean_ap.high <= 1
    assert found.more_than_noise
    assert found.pictures == tuple(PictureDifference(f"{number}.jpg", 1, -1) for number in range(15, 30))
    assert found.to_json()["more_than_noise"] is True


def test_one_picture_of_many_is_no_more_than_noise() -> None:
    found = compare(evaluated(*[RIGHT] * 30), evaluated(*[RIGHT] * 29, FALSE))
    assert not found.more_than_noise
    assert [one.filename for one in found.pictures] == ["29.jpg"]


def test_the_pictures_that_are_worst_for_us_come_first() -> None:
    found = compare(evaluated(RIGHT, FALSE, RIGHT), evaluated(FALSE, RIGHT, RIGHT))
    assert found.pictures == (PictureDifference("1.jpg", -1, 1), PictureDifference("0.jpg", 1, -1))


def test_other_pictures_or_labels_are_refused() -> None:
    with pytest.raises(BadData, match=r"0\.jpg stands where the other has 1\.jpg"):
        compare(evaluated(RIGHT), evaluated(RIGHT, first=1))
    with pytest.raises(BadData, match="the same pictures, got 2 and 1"):
        compare(evaluated(RIGHT, RIGHT), evaluated(RIGHT))
    with pytest.raises(BadData, match="the same labels, got cat and cat, dog"):
        compare(evaluated(RIGHT), evaluated(RIGHT, labels=("cat", "dog")))
