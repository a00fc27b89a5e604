"""Divide pictures into train, validation and test so that each class is in each part.

After Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data": the rarest class first,
each picture to the part that lacks most of it.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

from vigie.data.parts import PARTS, Part


def split(
    names: Sequence[str],
    labels: Sequence[frozenset[str]],
    *,
    seed: int,
    validation_share: float,
    test_share: float,
) -> dict[Part, list[int]]:
    """Indices of each part, in an order drawn by the seed.

    A class that at least three pictures show is in every part. `names` tell the pictures apart; the outcome depends
    on them, the labels, the shares and the seed alone.
    """
    shares: dict[Part, float] = {
        "train": 1 - validation_share - test_share, "validation": validation_share, "test": test_share,
    }  # fmt: skip
    order = sorted(range(len(names)), key=lambda index: _lot(seed, names[index]))
    hand = _Hand(labels, shares)
    waiting = dict.fromkeys(order)
    while waiting:
        rarest = hand.rarest(waiting)
        group = [index for index in waiting if rarest is None or rarest in labels[index]]
        for position, index in enumerate(group):
            hand.give(index, rarest, left=len(group) - position)
            del waiting[index]
    place = {index: position for position, index in enumerate(order)}
    return {part: sorted(hand.parts[part], key=place.__getitem__) for part in PARTS}


def _lot(seed: int, name: str) -> bytes:
    # A hash rather than a random generator: the same in every version of every library.
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


class _Hand:
    """Deals pictures; keeps how many each part still wants, of all and of each class."""

    def __init__(self, labels: Sequence[frozenset[str]], shares: dict[Part, float]) -> None:
        self._labels = labels
        self.parts: dict[Part, list[int]] = {part: [] for part in PARTS}
        self._count = Counter(label for found in labels for label in found)
        self._wants = {part: share * len(labels) for part, share in shares.items()}
        self._wants_of = {
            label: {part: share * count for part, share in shares.items()} for label, count in self._count.items()
        }
        self._has = {label: set[Part]() for label in self._count}

    def rarest(self, waiting: dict[int, None]) -> str | None:
        """The class that fewest waiting pictures show; None when none of them shows any."""
        counts = Counter(label for index in waiting for label in self._labels[index])
        return min(counts, key=lambda label: (counts[label], label), default=None)

    def give(self, index: int, label: str | None, *, left: int) -> None:
        part = self._part_for(label, left)
        self.parts[part].append(index)
        self._wants[part] -= 1
        for shown in self._labels[index]:
            self._wants_of[shown][part] -= 1
            self._has[shown].add(part)

    def _part_for(self, label: str | None, left: int) -> Part:
        if label is None:
            return max(PARTS, key=lambda part: self._wants[part])
        lacking = [part for part in PARTS if part not in self._has[label]]
        # The last ones go where there is none yet, so that rounding leaves no part without.
        last_chance = self._count[label] >= len(PARTS) and left <= len(lacking)
        wants = self._wants_of[label]
        return max(lacking if last_chance else PARTS, key=lambda part: (wants[part], self._wants[part]))
