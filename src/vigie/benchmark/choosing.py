"""From measurements to a decision; nothing here measures."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from vigie.benchmark.candidates import Candidate, Precision

Purpose = Literal["throughput", "latency"]

NEAR = 1.15
"""A candidate that is estimated to be slower than the best of its class by more than this is not measured further."""

ALIKE = 1.03
"""Two runs of the same differ by as much: of the files of a runtime that are so near the preferred one is taken."""

_MOST_FINALISTS = 2


@dataclass(frozen=True)
class Timing:
    """Pictures one after the other, on `threads` threads of one process."""

    candidate: Candidate
    threads: int
    milliseconds: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return median(self.milliseconds)

    @property
    def p95_ms(self) -> float:
        """95 of 100 pictures were done sooner."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


@dataclass(frozen=True)
class Rate:
    """Pictures a second of all processes together, each with so many threads."""

    candidate: Candidate
    processes: int
    threads: int
    frames_per_s: float


@dataclass(frozen=True)
class Winner:
    """The fastest of its class. `rates` have the most frames first."""

    candidate: Candidate
    latency: Timing
    rates: tuple[Rate, ...]


def arrangements(cores: int) -> list[tuple[int, int]]:
    """Processes and threads of each: from one process with all cores to one a core; no core has two to serve."""
    return [(processes, cores // processes) for processes in _doubled(cores)]


def thread_counts(cores: int) -> list[int]:
    """Of one process: 1, 2, 4 and so on, all, and those of the arrangements."""
    return sorted({*_doubled(cores), *(threads for _, threads in arrangements(cores))})


def _doubled(cores: int) -> list[int]:
    return sorted({1 << power for power in range((cores - 1).bit_length())} | {cores})


def finalists(timings: Sequence[Timing], purpose: Purpose, cores: int) -> list[Candidate]:
    """Those that may be the fastest of their class, judged by one process alone; the most promising first.

    `timings` come in the order of preference. Of each runtime it is one file: that in fp16 is no faster than that in
    fp32, and should not be taken for it by chance.
    """
    chosen: list[Candidate] = []
    for precision in dict.fromkeys(one.candidate.precision for one in timings):
        promises: dict[str, list[tuple[float, Candidate]]] = {}
        for candidate in _deployable(timings, precision):
            own = [one for one in timings if one.candidate == candidate]
            promises.setdefault(candidate.runtime, []).append((_promise_ms(own, purpose, cores), candidate))
        if not promises:
            continue
        promising = sorted((_first_alike(files) for files in promises.values()), key=lambda one: one[0])
        # By latency the measurement is done already.
        most = _MOST_FINALISTS if purpose == "throughput" else 1
        chosen += [candidate for promise, candidate in promising[:most] if promise <= NEAR * promising[0][0]]
    return chosen


def winners(timings: Sequence[Timing], rates: Sequence[Rate], purpose: Purpose) -> dict[Precision, Winner]:
    """The fastest of each class, of those whose rates were measured."""
    found: dict[Precision, Winner] = {}
    for precision in dict.fromkeys(one.candidate.precision for one in timings):
        able: list[tuple[float, Winner]] = []
        for candidate in _deployable(timings, precision):
            own = sorted((one for one in rates if one.candidate == candidate), key=lambda one: -one.frames_per_s)
            if own:
                quickest = min((one for one in timings if one.candidate == candidate), key=lambda one: one.median_ms)
                cost = 1 / own[0].frames_per_s if purpose == "throughput" else quickest.median_ms
                able.append((cost, Winner(candidate, quickest, tuple(own))))
        if able:
            found[precision] = min(able, key=lambda one: one[0])[1]
    return found


def _first_alike(costs: Sequence[tuple[float, Candidate]]) -> tuple[float, Candidate]:
    least = min(cost for cost, _ in costs)
    return next(one for one in costs if one[0] <= ALIKE * least)


def _deployable(timings: Sequence[Timing], precision: Precision) -> list[Candidate]:
    found: list[Candidate] = []
    for one in timings:
        candidate = one.candidate
        if candidate.precision == precision and candidate.deployable and candidate not in found:
            found.append(candidate)
    return found


def _promise_ms(timings: Sequence[Timing], purpose: Purpose, cores: int) -> float:
    """Milliseconds a picture, as if processes beside each other did not hinder one another."""
    if purpose == "latency":
        return min(one.median_ms for one in timings)
    return min(one.median_ms / max(1, cores // one.threads) for one in timings)
