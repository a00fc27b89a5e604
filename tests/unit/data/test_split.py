from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.data.parts import PARTS
from vigie.data.split import split

SHARES = {"validation_share": 0.15, "test_share": 0.15}
label_sets = st.lists(st.frozensets(st.sampled_from(["a", "b", "c", "rare"])), max_size=60)


@given(label_sets, st.integers(0, 5))
def test_each_picture_is_in_one_part_and_a_class_on_three_pictures_is_in_every_part(
    labels: list[frozenset[str]], seed: int
) -> None:
    parts = split([f"p{i}" for i in range(len(labels))], labels, seed=seed, **SHARES)
    assert sorted(index for part in PARTS for index in parts[part]) == list(range(len(labels)))
    counts = Counter(label for found in labels for label in found)
    if len(counts) == 1:  # pictures with several classes may use each other's last places up
        for label, count in counts.items():
            if count >= 3:
                assert all(any(label in labels[index] for index in parts[part]) for part in PARTS)


def test_a_rare_class_is_in_every_part_and_the_shares_are_kept() -> None:
    labels = [frozenset({"rare", "usual"} if i % 40 == 0 else {"usual"}) for i in range(400)]
    parts = split([f"p{i}" for i in range(400)], labels, seed=1, **SHARES)
    assert {part: len(parts[part]) for part in PARTS} == {"train": 280, "validation": 60, "test": 60}
    rare = {part: sum("rare" in labels[index] for index in parts[part]) for part in PARTS}
    assert sum(rare.values()) == 10
    assert rare["train"] in (6, 7)
    assert min(rare.values()) >= 1


def test_the_outcome_depends_on_names_and_seed_and_not_on_the_order_of_the_pictures() -> None:
    names = [f"p{i}" for i in range(30)]
    labels = [frozenset({"a"} if i % 3 else {"b"}) for i in range(30)]

    def named(seed: int, order: list[int]) -> dict[str, list[str]]:
        parts = split([names[i] for i in order], [labels[i] for i in order], seed=seed, **SHARES)
        return {part: [names[order[index]] for index in parts[part]] for part in PARTS}

    forward, backward = list(range(30)), list(range(30))[::-1]
    assert named(1, forward) == named(1, forward) == named(1, backward)
    assert named(1, forward) != named(2, forward)


@pytest.mark.parametrize("count", [3, 4, 10])
def test_pictures_without_objects_are_shared_out_too(count: int) -> None:
    parts = split([f"p{i}" for i in range(count)], [frozenset()] * count, seed=1, validation_share=0.3, test_share=0.3)
    assert all(parts[part] for part in PARTS)


def test_the_first_pictures_of_a_part_show_every_class() -> None:
    kinds = [frozenset("a"), frozenset("b"), frozenset("c"), frozenset("ab"), frozenset("abc")]
    labels = [kinds[number % len(kinds)] for number in range(600)]
    parts = split([f"p{number}" for number in range(600)], labels, seed=1, **SHARES)
    for indices in parts.values():
        assert {kind for index in indices[:30] for kind in [labels[index]]} == set(kinds)
