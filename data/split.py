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

    A class that at least three pictures show is in every part, unless a handful of pictures show so many classes that
    this cannot be had by dealing them once. `names` tell the pictures apart; the outcome depends on them, the labels,
    the shares and the seed alone.
    """
    shares: dict[Part, float] = {
        "train": 1 - validation_share - test_share, "validation": validation_share, "test": test_share,
    }  # fmt: skip
    order = sorted(range(len(names)), key=lambda index: _lot(seed, names[index]))
    hand = _Hand(labels, shares)
    waiting = dict.fromkeys(order)
    while waiting:
        rarest = hand.rarest()
        for index in [index for index in waiting if rarest is None or rarest in labels[index]]:
            hand.give(index, rarest)
            del waiting[index]
    # Another lot than the one they were dealt by: its first pictures of a part show the class that was dealt last.
    return {part: sorted(hand.parts[part], key=lambda index: _lot(seed, f"{part}\0{names[index]}")) for part in PARTS}


def _lot(seed: int, name: str) -> bytes:
    # A hash rather than a random generator: the same in every version of every library.
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


class _Hand:
    """Deals pictures; keeps how many each part still wants, of all and of each class."""

    def __init__(self, labels: Sequence[frozenset[str]], shares: dict[Part, float]) -> None:
        self._labels = labels
        self.parts: dict[Part, list[int]] = {part: [] for part in PARTS}
        self._left = Counter(label for found in labels for label in found)
        self._needed = {label for label, count in self._left.items() if count >= len(PARTS)}
        self._wants = {part: share * len(labels) for part, share in shares.items()}
        self._wants_of = {
            label: {part: share * count for part, share in shares.items()} for label, count in self._left.items()
        }
        self._lacking = {label: list(PARTS) for label in self._left}

    def rarest(self) -> str | None:
        """The class that fewest pictures of the hand show; None when none of them shows any."""
        return min(
            (label for label, count in self._left.items() if count), key=lambda label: (self._left[label], label),
            default=None,
        )  # fmt: skip

    def give(self, index: int, label: str | None) -> None:
        """Deal a picture, which shows `label`."""
        part = self._part_for(index, label)
        self.parts[part].append(index)
        self._wants[part] -= 1
        for shown in self._labels[index]:
            self._left[shown] -= 1
            self._wants_of[shown][part] -= 1
            if part in self._lacking[shown]:
                self._lacking[shown].remove(part)

    def _part_for(self, index: int, label: str | None) -> Part:
        if label is None:
            return max(PARTS, key=lambda part: self._wants[part])
        wants = self._wants_of[label]
        open_to = self._last_chances(index) or list(PARTS)
        return max(open_to, key=lambda part: (wants[part], self._wants[part]))

    def _last_chances(self, index: int) -> list[Part]:
        """The parts that still lack a class which only just enough pictures are left of; none where there is time."""
        urgent = [
            label for label in sorted(self._labels[index], key=lambda label: (self._left[label], label))
            if label in self._needed and 0 < self._left[label] <= len(self._lacking[label])
        ]  # fmt: skip
        counts = Counter(part for label in urgent for part in self._lacking[label])
        most = max(counts.values(), default=0)
        return [part for part in PARTS if most and counts[part] == most]
