"""Pictures that show the same: they must not be learned from in one part and judged by in another."""

import numpy as np
import numpy.typing as npt

from vigie.data.likeness import Compare
from vigie.data.source import CheckedSet
from vigie.data.split import in_order_of_appearance
from vigie.data.workers import Workers

MANY = 4096  # pictures whose comparison is worth sharing among processes
_ROWS = 512  # a job


def groups_of(checked: CheckedSet, workers: Workers) -> npt.NDArray[np.intp]:
    """The number of each picture's group, from 0 in the order of the pictures; one without a twin is its own.

    Twins are those of `vigie data check`; a twin's twin is of the same group.
    """
    bytes_of = checked.sha256.reshape(-1).view("V32")
    _, first, copy_of = np.unique(bytes_of, return_index=True, return_inverse=True)
    leader: list[int] = first[copy_of].tolist()

    def lead(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    different = np.sort(first)
    compare = Compare(checked.looks, checked.bits[different], different)
    count = len(different)
    jobs = (range(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS))
    for pairs in workers.in_order(compare, jobs, many=count >= MANY):
        for pair in pairs:
            one, other = sorted(map(lead, pair))
            leader[other] = one
    return in_order_of_appearance(np.array([lead(number) for number in range(len(leader))]))
