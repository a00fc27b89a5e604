"""Labels that a person takes for one are found; those that merely resemble each other are not."""

from typing import Any

import pytest

from vigie.data.doctor.check import check
from vigie.data.doctor.labels import appearance


@pytest.mark.parametrize(
    "other", ["with_mask ", "With_Mask", "with mask", "with-mask", "withmask", "w\u0456th_m\u0430sk", "with_mask\u200b"]
)
def test_labels_of_one_look_are_one(other: str) -> None:
    assert appearance(other) == appearance("with_mask")


def test_other_words_stay_apart() -> None:
    labels = ["with_mask", "without_mask", "mask", "masks", "mask2", "mask3", "\u732b", "\u72ac"]
    assert len({appearance(label) for label in labels}) == len(labels)


def test_the_rarer_spelling_is_the_odd_one(maker: Any) -> None:
    maker.add("one", ("cat", 1, 1, 50, 50), ("cat", 60, 1, 99, 50))
    maker.add("two", ("Cat", 1, 1, 50, 50))
    [odd] = [found for found in check(maker.root, progress=False).findings if found.code == "label-look-alike"]
    assert (odd.file, odd.object) == ("annotations/two.xml", 1)
    assert odd.found == "the label 'Cat' looks like 'cat' (1 and 2 boxes)"
