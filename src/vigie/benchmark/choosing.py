"""From measurements to a decision; nothing here measures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from vigie.benchmark.candidates import Candidate, Precision

Purpose = Literal["throughput", "latency"]

NEAR = 1.15
"""A candidate that is estimated to be slower than the best of its class by more than this is not measured further."""

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


def finalists(timings: Iterable[Timing], purpose: Purpose, cores: int) -> list[Candidate]:
    """Those that may be the fastest of their class, judged by one process alone; the most promising first."""
    best: dict[Precision, list[tuple[float, Candidate]]] = {}
    by_candidate: dict[str, list[Timing]] = {}
    for timing in timings:
        if timing.candidate.deployable:
            by_candidate.setdefault(timing.candidate.name, []).append(timing)
    for own in by_candidate.values():
        best.setdefault(own[0].candidate.precision, []).append((_promise_ms(own, purpose, cores), own[0].candidate))
    chosen: list[Candidate] = []
    for promising in best.values():
        promising.sort(key=lambda one: one[0])
        near = [candidate for promise, candidate in promising if promise <= NEAR * promising[0][0]]
        # By latency the measurement is done already.
        chosen += near[: _MOST_FINALISTS if purpose == "throughput" else 1]
    return chosen


def winners(timings: Sequence[Timing], rates: Sequence[Rate], purpose: Purpose) -> dict[Precision, Winner]:
    """The fastest of each class, of those whose rates were measured."""
    found: dict[Precision, Winner] = {}
    for name in dict.fromkeys(rate.candidate.name for rate in rates):
        own_rates = sorted((one for one in rates if one.candidate.name == name), key=lambda one: -one.frames_per_s)
        quickest = min((one for one in timings if one.candidate.name == name), key=lambda one: one.median_ms)
        one = Winner(own_rates[0].candidate, quickest, tuple(own_rates))
        before = found.get(one.candidate.precision)
        if before is None or _value(one, purpose) > _value(before, purpose):
            found[one.candidate.precision] = one
    return found


def _promise_ms(timings: Sequence[Timing], purpose: Purpose, cores: int) -> float:
    """Milliseconds a picture, as if processes beside each other did not hinder one another."""
    if purpose == "latency":
        return min(one.median_ms for one in timings)
    return min(one.median_ms / max(1, cores // one.threads) for one in timings)


def _value(winner: Winner, purpose: Purpose) -> float:
    return winner.rates[0].frames_per_s if purpose == "throughput" else -winner.latency.median_ms
