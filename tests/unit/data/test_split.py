import random
import warnings
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.data import split
from vigie.data.parts import PARTS, Part
from vigie.data.split import Deck

SHARES: dict[Part, float] = {"train": 0.7, "validation": 0.15, "test": 0.15}
pictures = st.lists(
    st.tuples(st.lists(st.sampled_from(["a", "b", "c", "rare"]), max_size=4).map(tuple), st.integers(0, 25)),
    max_size=40,
)


class Entry(NamedTuple):
    name: str
    labels: tuple[str, ...]
    group: int


def draw(
    entries: list[Entry], shares: dict[Part, float], *, seed: int, kept: dict[int, Part] | None = None
) -> list[Part]:
    labels = sorted({label for entry in entries for label in entry.labels})
    boxes = [[entry.labels.count(label) for label in labels] for entry in entries]
    deck = Deck(
        [entry.name for entry in entries], labels,
        np.array(boxes, np.int32).reshape(len(entries), len(labels)), np.array([e.group for e in entries], np.intp),
    )  # fmt: skip
    return split.draw(deck, shares, seed=seed, kept=kept)


def entries_of(found: list[tuple[tuple[str, ...], int]]) -> list[Entry]:
    return [Entry(f"p{number}", labels, group) for number, (labels, group) in enumerate(found)]


def boxes(entries: list[Entry], parts: list[Part]) -> dict[str, list[int]]:
    """Label -> how many boxes in each part."""
    labels = sorted({label for entry in entries for label in entry.labels})
    return {
        label: [
            sum(e.labels.count(label) for e, its in zip(entries, parts, strict=True) if its == part) for part in PARTS
        ]
        for label in labels
    }


@settings(max_examples=60, deadline=None)
@given(pictures, st.integers(-2, 5), st.randoms(use_true_random=False), st.data())
def test_no_group_is_torn_kept_parts_stay_and_the_order_of_the_files_does_not_matter(
    found: list[tuple[tuple[str, ...], int]], seed: int, shuffler: random.Random, data: st.DataObject
) -> None:
    entries = entries_of(found)
    part_of_group = {entry.group: data.draw(st.sampled_from([None, None, *PARTS])) for entry in entries}
    kept = {n: part for n, entry in enumerate(entries) if (part := part_of_group[entry.group]) and n % 2}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = draw(entries, SHARES, seed=seed, kept=kept)
    assert len(parts) == len(entries)
    assert set(parts) <= set(PARTS)
    of_group: dict[int, set[Part]] = defaultdict(set)
    for entry, part in zip(entries, parts, strict=True):
        of_group[entry.group].add(part)
    assert all(len(in_parts) == 1 for in_parts in of_group.values())
    assert {n: parts[n] for n in kept} == kept
    order = shuffler.sample(range(len(entries)), len(entries))
    renumbered = [Entry(entries[n].name, entries[n].labels, 1000 - entries[n].group) for n in order]
    again = draw(renumbered, SHARES, seed=seed, kept={order.index(n): part for n, part in kept.items()})
    assert again == [parts[n] for n in order]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=3, max_size=30), st.integers(0, 5))
def test_a_class_on_three_groups_is_in_every_part(counts: list[int], seed: int) -> None:
    entries = [Entry(f"p{n}", ("only",) * count, n) for n, count in enumerate(counts)]
    assert min(boxes(entries, draw(entries, SHARES, seed=seed))["only"]) >= 1


def test_shares_of_pictures_and_of_rare_boxes_are_kept() -> None:
    entries = [Entry(f"p{n}", ("rare", "usual") if n % 40 == 0 else ("usual",), n) for n in range(400)]
    parts = draw(entries, SHARES, seed=1)
    assert Counter(parts) == {"train": 280, "validation": 60, "test": 60}
    assert boxes(entries, parts)["rare"] in ([7, 2, 1], [7, 1, 2], [6, 2, 2])


def test_boxes_are_shared_out_where_a_few_pictures_show_most_of_them() -> None:
    dice = random.Random(1)
    entries = [
        Entry(f"p{n}", ("mask",) * dice.choice([1, 2, 3, 30]) + ("none",) * dice.choice([0, 0, 0, 12]), n)
        for n in range(300)
    ]
    for label, counts in boxes(entries, draw(entries, SHARES, seed=1)).items():
        total = sum(counts)
        assert counts == pytest.approx([0.7 * total, 0.15 * total, 0.15 * total], rel=0.06), label


@pytest.mark.parametrize("test_share", [0.04, 0.1234, 0.5])
def test_any_share_can_be_had(test_share: float) -> None:
    shares: dict[Part, float] = {"train": 0.9 - test_share, "validation": 0.1, "test": test_share}
    entries = [Entry(f"p{n}", ("a",) * (1 + n % 3), n) for n in range(250)]
    counts = Counter(draw(entries, shares, seed=1))
    assert {part: counts[part] for part in PARTS} == pytest.approx({p: 250 * s for p, s in shares.items()}, abs=2)


@pytest.mark.parametrize("count", [3, 4, 7, 10, 20])
def test_few_pictures_with_or_without_objects_reach_every_part(count: int) -> None:
    for labels in ((), ("a",), ("a", "b")):
        entries = [Entry(f"p{n}", labels, n) for n in range(count)]
        assert set(draw(entries, SHARES, seed=1)) == set(PARTS)


def test_many_rare_classes_are_all_in_train_and_every_part_has_pictures() -> None:
    entries = [Entry(f"p{n}", (f"class {n // 2}", f"class {n // 3}"), n) for n in range(60)]
    parts = draw(entries, SHARES, seed=1)
    assert set(parts) == set(PARTS)
    assert all(counts[0] for counts in boxes(entries, parts).values())


def test_another_seed_draws_another_division() -> None:
    entries = [Entry(f"p{n}", ("a",), n) for n in range(30)]
    assert draw(entries, SHARES, seed=1) == draw(entries, SHARES, seed=1) != draw(entries, SHARES, seed=2)


def test_added_pictures_make_the_shares_right_over_all_and_follow_their_twins() -> None:
    entries = [Entry(f"p{n}", ("a",), n) for n in range(150)]
    entries.append(Entry("twin of p3", ("a",), 3))
    kept: dict[int, Part] = {n: "train" if n < 90 else "validation" for n in range(100)}
    parts = draw(entries, SHARES, seed=1, kept=kept)
    assert {n: parts[n] for n in kept} == kept
    assert parts[150] == "train"
    assert Counter(parts)["test"] in range(21, 26)
    assert Counter(parts)["validation"] in range(21, 26)


def test_kept_parts_that_tear_a_group_stay_and_the_rest_goes_with_the_most() -> None:
    entries = [Entry(f"p{n}", ("a",), 0) for n in range(4)]
    kept: dict[int, Part] = {0: "test", 1: "test", 2: "train"}
    assert draw(entries, SHARES, seed=1, kept=kept) == ["test", "test", "train", "test"]


def test_thousands_are_dealt_by_share_of_pictures_and_of_every_class_with_groups_whole() -> None:
    dice = random.Random(3)
    entries = [
        Entry(f"p{n}", ("a",) * dice.choice([0, 1, 2]) + ("b",) * (n % 50 == 0) + ("c",) * (n % 900 == 0), n - n % 3)
        for n in range(4500)
    ]
    parts = draw(entries, SHARES, seed=1)
    assert Counter(parts) == {"train": 3150, "validation": 675, "test": 675}
    found = boxes(entries, parts)
    assert all(count >= 1 for count in found["c"])
    for label in "ab":
        total = sum(found[label])
        assert found[label] == pytest.approx([0.7 * total, 0.15 * total, 0.15 * total], rel=0.03, abs=1), label
    assert all(len(set(parts[n : n + 3])) == 1 for n in range(0, 4500, 3))
    assert draw(entries, SHARES, seed=2) != parts
