"""Divide pictures into parts by groups, so that every part has its share of the pictures and of each class's boxes.

scikit-learn's StratifiedGroupKFold deals the groups by the rarest class on each picture. It knows one class a picture,
and a face-mask picture shows twenty boxes of one and one of another; so single groups are moved afterwards, as long as
that brings the boxes of all classes nearer to their shares.
"""

# ruff: noqa: PLC0415

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vigie.data.parts import PARTS, Part

_FOLDS = 20
_FEWER_FOLDS = 7  # for sets so large that dealing them into twenty takes minutes
_LARGE = 1000  # groups
_MOST_TRIALS = 8
_TRIED_GROUPS_AND_FOLDS = 20_000  # about a second
_MOST_MOVES = 500
_LOOKED_AT = 100_000_000  # numbers to look through for moves: a few seconds
_LACKING = 10.0  # what it costs that a part lacks a class, beside the square of how far shares are missed
_FEWEST_FOR: dict[Part, int] = {"train": 1, "validation": 2, "test": 3}  # groups that show a class


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture to deal: its own name, the label of each of its boxes, and its group."""

    name: str
    labels: tuple[str, ...]
    group: int


def draw(
    entries: Sequence[Entry], shares: Mapping[Part, float], *, seed: int, kept: Mapping[int, Part] | None = None
) -> list[Part]:
    """The part of each entry. Groups stay together; a class on three groups is in every part where that can be had.

    `kept` are entries whose part is given, by their index; the rest of their group goes with them, and the others are
    dealt so that the shares are right over all. A group whose kept entries lie in several parts goes with the most of
    them. The outcome depends on names, labels, who is grouped with whom, shares and seed, not on the order.
    """
    kept = kept or {}
    parts = _with_their_groups(entries, kept)
    order = sorted(range(len(entries)), key=lambda index: lot(seed, entries[index].name))
    free = [index for index in order if index not in parts]
    if free:
        scale = _Scale(entries, shares)
        settled = scale.counts([(entries[index], part) for index, part in sorted(parts.items())])
        hand = _Hand([entries[index] for index in free], scale)
        dealt = hand.dealt(seed, settled)
        parts |= {index: scale.parts[dealt[number]] for index, number in zip(free, hand.group_of, strict=True)}
    return [parts[index] for index in range(len(entries))]


def lot(seed: int, name: str) -> bytes:
    """A place in an order drawn by the seed. A hash: the same in every version of every library."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _with_their_groups(entries: Sequence[Entry], kept: Mapping[int, Part]) -> dict[int, Part]:
    votes: dict[int, Counter[Part]] = defaultdict(Counter)
    for index, part in kept.items():
        votes[entries[index].group][part] += 1
    elected = {group: max(PARTS, key=lambda part, found=found: found[part]) for group, found in votes.items()}  # type: ignore[misc]
    return {
        index: kept.get(index, elected.get(entry.group, "train"))
        for index, entry in enumerate(entries)
        if index in kept or entry.group in elected
    }


class _Scale:
    """Measures how far a division is from what was asked. A column for pictures, one for those without boxes, and one
    for the boxes of each class, the rarest last."""

    def __init__(self, entries: Sequence[Entry], shares: Mapping[Part, float]) -> None:
        boxes = Counter(label for entry in entries for label in entry.labels)
        self._column = {label: 2 + n for n, label in enumerate(sorted(boxes, key=lambda name: (-boxes[name], name)))}
        self.parts = [part for part in PARTS if part in shares]
        self.shares = np.array([shares[part] for part in self.parts])
        rows = np.array([self.row(entry) for entry in entries])
        self._wanted: npt.NDArray[np.float64] = self.shares[:, None] * rows.sum(axis=0)
        shown: dict[int, npt.NDArray[np.bool_]] = {}
        for entry, row in zip(entries, rows, strict=True):
            shown[entry.group] = shown.get(entry.group, False) | (row > 0)
        showing = np.sum(list(shown.values()), axis=0)
        self._needed = np.array([showing >= _FEWEST_FOR[part] for part in self.parts])

    def row(self, entry: Entry) -> npt.NDArray[np.float64]:
        row = np.zeros(2 + len(self._column))
        row[:2] = 1, not entry.labels
        for label in entry.labels:
            row[self._column[label]] += 1
        return row

    def stratum(self, entry: Entry) -> int:
        """The column of the picture's rarest class; that of pictures without boxes where it shows none."""
        return max((self._column[label] for label in entry.labels), default=1)

    def counts(self, dealt: Sequence[tuple[Entry, Part]]) -> npt.NDArray[np.float64]:
        """Parts x columns."""
        counts = np.zeros_like(self._wanted)
        for entry, part in dealt:
            counts[self.parts.index(part)] += self.row(entry)
        return counts

    def cost(self, part: int, counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Of one part that has these counts (... x columns)."""
        missed = (counts - self._wanted[part]) / np.maximum(self._wanted[part], 1)
        lacking = self._needed[part] & (counts <= 0)
        cost: npt.NDArray[np.float64] = np.sum(missed**2 + _LACKING * lacking, axis=-1)
        return cost


class _Hand:
    """Groups that are still to be dealt. `group_of` numbers the group of each entry, in their order."""

    def __init__(self, entries: Sequence[Entry], scale: _Scale) -> None:
        numbers: dict[int, int] = {}
        self.group_of = [numbers.setdefault(entry.group, len(numbers)) for entry in entries]
        self._scale = scale
        self._strata = [scale.stratum(entry) for entry in entries]
        self._rows = np.zeros((len(numbers), len(scale.row(entries[0]))))
        for entry, number in zip(entries, self.group_of, strict=True):
            self._rows[number] += scale.row(entry)

    def dealt(self, seed: int, settled: npt.NDArray[np.float64]) -> list[int]:
        """The part of each group, by its number: the best of a few drawn ones."""
        folds = _FOLDS if len(self._rows) <= _LARGE else _FEWER_FOLDS
        # StratifiedGroupKFold wants a stratum with a member for each fold.
        folds = min(folds, len(self._rows), max(Counter(self._strata).values()))
        trials = max(1, min(_MOST_TRIALS, _TRIED_GROUPS_AND_FOLDS // (len(self._rows) * max(folds, 1))))
        results = []
        for trial in range(trials):
            random_state = int.from_bytes(lot(seed, f"trial {trial}")[:4], "big")
            results.append(self._improved(self._drawn(folds, random_state), settled))
        return [int(part) for part in min(results, key=lambda result: result[0])[1]]

    def _drawn(self, folds: int, random_state: int) -> npt.NDArray[np.intp]:
        """From the last part on, each takes so many of the folds as its share says; train has the rest."""
        dealt = np.zeros(len(self._rows), np.intp)
        if folds < 2:
            return dealt
        from sklearn.model_selection import StratifiedGroupKFold

        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=random_state)
        with warnings.catch_warnings():
            # A rare class has fewer pictures than there are folds: `_improved` sees to it.
            warnings.filterwarnings("ignore", message="The least populated class in y", category=UserWarning)
            split = list(splitter.split(self._strata, self._strata, self.group_of))
        numbers = np.array(self.group_of)
        last = len(self._scale.shares) - 1
        bounds = np.rint(np.cumsum(self._scale.shares[:0:-1]) * folds)
        for fold, (_, held) in enumerate(split):
            dealt[numbers[held]] = last - np.searchsorted(bounds, fold, side="right")
        return dealt

    def _improved(
        self, dealt: npt.NDArray[np.intp], settled: npt.NDArray[np.float64]
    ) -> tuple[float, npt.NDArray[np.intp]]:
        """Move the group that helps most, until none does. Returns the cost too."""
        counts = settled.copy()
        np.add.at(counts, dealt, self._rows)
        for _ in range(min(_MOST_MOVES, 10 + _LOOKED_AT // self._rows.size)):
            gains = self._gains(dealt, counts)
            group, part = np.unravel_index(np.argmin(gains), gains.shape)
            if gains[group, part] > -1e-9:
                break
            counts[dealt[group]] -= self._rows[group]
            counts[part] += self._rows[group]
            dealt[group] = part
        return sum(float(self._scale.cost(part, row)) for part, row in enumerate(counts)), dealt

    def _gains(self, dealt: npt.NDArray[np.intp], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Groups x parts: what the cost changes by when a group moves to a part."""
        cost = self._scale.cost
        gains = np.full((len(dealt), len(counts)), np.inf)
        for here in range(len(counts)):
            mine = np.flatnonzero(dealt == here)
            left = cost(here, counts[here] - self._rows[mine]) - cost(here, counts[here])
            for there in range(len(counts)):
                if there != here:
                    joined = cost(there, counts[there] + self._rows[mine]) - cost(there, counts[there])
                    gains[mine, there] = left + joined
        return gains
