"""Divide pictures into parts by groups, so that every part has its share of the pictures and of each class's boxes.

scikit-learn's StratifiedGroupKFold deals the groups by the rarest class on each picture. It knows one class a picture,
and a face-mask picture shows twenty boxes of one and one of another; so single groups are moved afterwards, as long as
that brings the boxes of all classes nearer to their shares.
"""

# ruff: noqa: PLC0415

import hashlib
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vigie.data.parts import PARTS, Part

_FOLDS = 20
_FEWER_FOLDS = 7
_LARGE = 1000  # groups; so many are dealt in packs, for dealing each takes minutes
_PACKS = 400
_MOST_TRIALS = 8
_TRIED_GROUPS_AND_FOLDS = 20_000  # about half a second
_MOST_MOVES = 500
_LOOKED_AT = 100_000_000  # numbers to look through for moves: a few seconds
_LACKING = 10.0  # what it costs that a part lacks a class, beside the square of how far shares are missed
_FEWEST_FOR: dict[Part, int] = {"train": 1, "validation": 2, "test": 3}  # groups that show a class

Counts: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Deck:
    """Pictures to deal: their own names, how many boxes of each label they show (pictures x labels), their groups."""

    names: Sequence[str]
    labels: Sequence[str]
    boxes: npt.NDArray[np.int32]
    groups: Numbers

    def __len__(self) -> int:
        return len(self.names)

    def of(self, rows: Sequence[int]) -> "Deck":
        """Those of these rows."""
        return Deck([self.names[row] for row in rows], self.labels, self.boxes[rows], self.groups[rows])


def draw(deck: Deck, shares: Mapping[Part, float], *, seed: int, kept: Mapping[int, Part] | None = None) -> list[Part]:
    """The part of each picture. Groups stay together; a class on three groups is in every part where that can be had.

    `kept` are pictures whose part is given, by their row; the rest of their group goes with them, and the others are
    dealt so that the shares are right over all. A group whose kept pictures lie in several parts goes with the most of
    them. The outcome depends on names, boxes, who is grouped with whom, shares and seed, not on the order.
    """
    parts = _with_their_groups(deck, kept or {})
    lots = [lot(seed, name) for name in deck.names]
    free = np.array([row for row in sorted(range(len(deck)), key=lots.__getitem__) if row not in parts], np.intp)
    if len(free):
        scale = _Scale(deck, shares)
        settled = np.zeros((len(scale.parts), scale.rows.shape[1]))
        for row, part in sorted(parts.items()):
            settled[scale.parts.index(part)] += scale.rows[row]
        dealt = _Hand(deck, scale, free).dealt(seed, settled)
        parts |= {row: scale.parts[part] for row, part in zip(free.tolist(), dealt.tolist(), strict=True)}
    return [parts[row] for row in range(len(deck))]


def lot(seed: int, name: str) -> bytes:
    """A place in an order drawn by the seed. A hash: the same in every version of every library."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _with_their_groups(deck: Deck, kept: Mapping[int, Part]) -> dict[int, Part]:
    if not kept:
        return {}
    groups = deck.groups.tolist()
    votes: dict[int, Counter[Part]] = defaultdict(Counter)
    for row, part in kept.items():
        votes[groups[row]][part] += 1
    elected = {group: max(PARTS, key=lambda part, found=found: found[part]) for group, found in votes.items()}  # type: ignore[misc]
    return {row: kept.get(row, elected[group]) for row, group in enumerate(groups) if group in elected}


class _Scale:
    """Measures how far a division is from what was asked. A column for pictures, one for those without boxes, and one
    for the boxes of each class, the rarest last. `rows` are those of the pictures."""

    def __init__(self, deck: Deck, shares: Mapping[Part, float]) -> None:
        totals = dict(zip(deck.labels, deck.boxes.sum(axis=0).tolist(), strict=True))
        column = {label: number for number, label in enumerate(deck.labels)}
        shown = sorted((label for label in deck.labels if totals[label]), key=lambda label: (-totals[label], label))
        self.parts = [part for part in PARTS if part in shares]
        self.shares = np.array([shares[part] for part in self.parts])
        self.rows: Counts = np.ones((len(deck), 2 + len(shown)))
        self.rows[:, 1] = ~deck.boxes.any(axis=1)
        self.rows[:, 2:] = deck.boxes[:, [column[label] for label in shown]]
        self._wanted: Counts = self.shares[:, None] * self.rows.sum(axis=0)
        showing = (_summed(self.rows, np.unique(deck.groups, return_inverse=True)[1]) > 0).sum(axis=0)
        self._needed = np.array([showing >= _FEWEST_FOR[part] for part in self.parts])

    def strata(self) -> Numbers:
        """The column of each picture's rarest class; that of pictures without boxes where it shows none."""
        shown = self.rows[:, :1:-1] > 0
        return np.where(shown.any(axis=1), self.rows.shape[1] - 1 - shown.argmax(axis=1) if shown.size else 1, 1)

    def cost(self, part: int, counts: Counts) -> Counts:
        """Of one part that has these counts (... x columns)."""
        missed = (counts - self._wanted[part]) / np.maximum(self._wanted[part], 1)
        lacking = self._needed[part] & (counts <= 0)
        cost: Counts = np.sum(missed**2 + _LACKING * lacking, axis=-1)
        return cost


def _summed(rows: Counts, numbers: Numbers) -> Counts:
    """The rows of the same number together."""
    summed = np.zeros((int(numbers.max()) + 1, rows.shape[1]))
    np.add.at(summed, numbers, rows)
    return summed


class _Hand:
    """Groups that are still to be dealt, of the pictures in the rows `free`, whose order is drawn."""

    def __init__(self, deck: Deck, scale: _Scale, free: Numbers) -> None:
        self._scale = scale
        self._group_of = in_order_of_appearance(deck.groups[free])
        self._strata = scale.strata()[free]
        self._rows = _summed(scale.rows[free], self._group_of)

    def dealt(self, seed: int, settled: Counts) -> Numbers:
        """The part of each of the pictures: the best of a few drawn divisions."""
        count = len(self._rows)
        packs = self._packs() if count > _LARGE else np.arange(count)
        # StratifiedGroupKFold wants a stratum with a member for each fold.
        wanted = _FOLDS if count <= _LARGE else _FEWER_FOLDS
        folds = min(wanted, int(packs.max()) + 1, int(np.bincount(self._strata).max()))
        trials = max(1, min(_MOST_TRIALS, _TRIED_GROUPS_AND_FOLDS // (count * max(folds, 1))))
        results = []
        for trial in range(trials):
            random_state = int.from_bytes(lot(seed, f"trial {trial}")[:4], "big")
            results.append(self._improved(self._drawn(packs, folds, random_state), settled))
        best: Numbers = min(results, key=lambda result: result[0])[1]
        return best[self._group_of]

    def _packs(self) -> Numbers:
        """The number of each group's pack: groups of one stratum, that of their rarest class."""
        stratum = np.zeros(len(self._rows), np.intp)
        np.maximum.at(stratum, self._group_of, self._strata)
        packs = np.empty(len(stratum), np.intp)
        first = 0
        for one in np.unique(stratum):
            members = np.flatnonzero(stratum == one)
            size = max(1, min(math.ceil(len(stratum) / _PACKS), len(members) // (4 * _FEWER_FOLDS)))
            packs[members] = first + np.arange(len(members)) // size
            first = int(packs[members[-1]]) + 1
        return packs

    def _drawn(self, packs: Numbers, folds: int, random_state: int) -> Numbers:
        """The part of each group. From the last part on, each takes so many of the folds as its share says; train has
        the rest."""
        dealt = np.zeros(len(packs), np.intp)
        if folds < 2:
            return dealt
        from vigie.data.folds import Folds

        splitter = Folds(folds, shuffle=True, random_state=random_state)
        pack_of = packs[self._group_of]
        with warnings.catch_warnings():
            # A rare class has fewer pictures than there are folds: `_improved` sees to it.
            warnings.filterwarnings("ignore", message="The least populated class in y", category=UserWarning)
            split = list(splitter.split(self._strata, self._strata, pack_of))
        last = len(self._scale.shares) - 1
        bounds = np.rint(np.cumsum(self._scale.shares[:0:-1]) * folds)
        for fold, (_, held) in enumerate(split):
            dealt[self._group_of[held]] = last - np.searchsorted(bounds, fold, side="right")
        return dealt

    def _improved(self, dealt: Numbers, settled: Counts) -> tuple[float, Numbers]:
        """Move the group that helps most, until none does. Returns the cost too."""
        counts = settled.copy()
        np.add.at(counts, dealt, self._rows)
        alike = _Alike(self._rows, dealt, len(counts))
        for _ in range(min(_MOST_MOVES, 10 + _LOOKED_AT // self._rows.size)):
            gains = self._gains(alike, counts)
            kind, here, there = (int(found) for found in np.unravel_index(np.argmin(gains), gains.shape))
            if gains[kind, here, there] > -1e-9:
                break
            counts[here] -= alike.rows[kind]
            counts[there] += alike.rows[kind]
            dealt[alike.moved(kind, here, there)] = there
        return sum(float(self._scale.cost(part, row)) for part, row in enumerate(counts)), dealt

    def _gains(self, alike: "_Alike", counts: Counts) -> Counts:
        """Kinds x parts x parts: what the cost changes by when a group of a kind moves from one part to another."""
        cost = self._scale.cost
        gains = np.full((len(alike.rows), len(counts), len(counts)), np.inf)
        joined = [cost(part, counts[part] + alike.rows) - cost(part, counts[part]) for part in range(len(counts))]
        for here in range(len(counts)):
            mine = np.flatnonzero(alike.held[here])
            left = cost(here, counts[here] - alike.rows[mine]) - cost(here, counts[here])
            for there in range(len(counts)):
                if there != here:
                    gains[mine, here, there] = left + joined[there][mine]
        return gains


class _Alike:
    """Groups that show the same are of one kind: it is all the same which of them moves. `rows` are a kind's counts,
    `held` how many of a kind each part has (parts x kinds)."""

    def __init__(self, rows: Counts, dealt: Numbers, parts: int) -> None:
        _, first, kind_of = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        self._kind_of = in_order_of_appearance(kind_of)
        self.rows: Counts = rows[np.sort(first)]
        self.held = np.zeros((parts, len(first)), np.intp)
        np.add.at(self.held, (dealt, self._kind_of), 1)
        self._dealt = dealt

    def moved(self, kind: int, here: int, there: int) -> int:
        """The group that moves."""
        self.held[here, kind] -= 1
        self.held[there, kind] += 1
        return int(np.argmax((self._kind_of == kind) & (self._dealt == here)))


def in_order_of_appearance(values: Numbers) -> Numbers:
    """The same values, numbered from 0 as they first appear."""
    _, first, value_of = np.unique(values, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.intp)
    place[np.argsort(first)] = np.arange(len(first))
    return place[value_of]
