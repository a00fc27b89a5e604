"""All candidates in turns, each in its own process: first one picture after the other, then as many as they can."""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vigie.arrangement import Machine, model_key, this_machine
from vigie.benchmark.candidates import Candidate, Precision, candidates_of, precision_of_default
from vigie.benchmark.choosing import Purpose, Rate, Timing, Winner, arrangements, finalists, thread_counts, winners
from vigie.benchmark.pictures import pictures_for, size_of
from vigie.benchmark.side import CandidateFailed, Side
from vigie.bundle import Bundle, open_bundle
from vigie.errors import BadBundle, BadSetting
from vigie.progress import progress as progress_bar

logger = logging.getLogger(__name__)

SECONDS = 1.5
_ROUNDS = 5
_RATE_ROUNDS = 3
_TOGETHER_S = 0.05  # until a line has reached all processes
# TensorFlow takes its number of threads once in a process.
_ALONE = frozenset({"saved_model"})


@dataclass(frozen=True)
class Benchmark:
    """`failed` maps what could not be measured to the reason; `chosen` is the one of `winners` to run."""

    model: Path
    name: str
    bundle: Bundle | None
    machine: Machine
    pictures: str
    purpose: Purpose
    timings: tuple[Timing, ...]
    rates: tuple[Rate, ...]
    winners: dict[Precision, Winner]
    chosen: Winner
    reason: str
    failed: dict[str, str] = field(default_factory=dict)


def benchmark(
    model: Path,
    *,
    seconds: float = SECONDS,
    picture: Path | None = None,
    purpose: Purpose = "throughput",
    precision: Precision | None = None,
    progress: bool = True,
) -> Benchmark:
    """Measure a bundle or a single file of somebody else for `seconds` a line of the table, and choose.

    Raises:
        BadBundle: the model is broken, or nothing here runs it.
        BadSetting: nothing here runs it in that precision.
        BadData, BadPicture: as `pictures_for`.
    """
    bundle = None if model.is_file() else open_bundle(model)
    machine = this_machine()
    wanted = precision or precision_of_default(bundle)
    with pictures_for(bundle, picture) as pictures, ExitStack() as stack:
        candidates = candidates_of(model, bundle)
        lab = _Lab(model if bundle is None else bundle.folder, candidates, pictures, machine.cores, seconds, stack)
        with progress_bar(total=lab.steps, description="benchmark", unit="step", show=progress) as bar:
            lab.bar = bar
            timings = lab.timings()
            rates = lab.rates(finalists(timings, purpose, machine.cores))
            bar.update(bar.total - bar.n)
        best = winners(timings, rates, purpose)
        if wanted not in best:
            raise _nothing(model, wanted, lab.failed, best, asked=precision is not None)
        return Benchmark(
            model, model_key(model, bundle), bundle, machine, f"{len(pictures)} pictures of {size_of(pictures)}",
            purpose, tuple(timings), tuple(rates), best, best[wanted],
            _reason(wanted, bundle, asked=precision is not None), lab.failed,
        )  # fmt: skip


class _Lab:
    """Processes that live as long as the stack."""

    def __init__(
        self, model: Path, candidates: Sequence[Candidate], pictures: list[Path], cores: int, seconds: float,
        stack: ExitStack,
    ) -> None:  # fmt: skip
        self._model = model
        self._candidates = candidates
        self._pictures = pictures
        self._threads = thread_counts(cores)
        self._arrangements = arrangements(cores)
        self._seconds = seconds
        self._stack = stack
        self._sides: dict[tuple[str, int], Side] = {}
        self.failed: dict[str, str] = {}
        self.bar: Any = None

    @property
    def steps(self) -> int:
        """About: how many candidates go on to the second part is not known before."""
        kinds = len({one.precision for one in self._candidates})
        processes = sum(len(self._threads) if one.runtime in _ALONE else 1 for one in self._candidates)
        timed = _ROUNDS * len(self._candidates) * len(self._threads)
        together = sum(count * (1 + _RATE_ROUNDS) for count, _ in self._arrangements)
        return processes + timed + kinds * together

    def timings(self) -> list[Timing]:
        for candidate in self._candidates:
            self._start(candidate)
        # Heard when all are started: they load beside each other.
        for side in dict.fromkeys(self._sides.values()):
            self._heard(side)
        taken: dict[tuple[str, int], list[float]] = {}
        for number in range(_ROUNDS):
            for key, side in list(self._sides.items()) if number % 2 else list(self._sides.items())[::-1]:
                if side.candidate.name not in self.failed:
                    answer = self._asked(side, "times", threads=key[1], seconds=self._seconds / _ROUNDS)
                    taken.setdefault(key, []).extend(answer.get("milliseconds", ()))
        return [
            Timing(candidate, threads, tuple(taken[key]))
            for candidate in self._candidates
            for threads in self._threads
            if (key := (candidate.name, threads)) in taken and candidate.name not in self.failed
        ]

    def rates(self, candidates: Sequence[Candidate]) -> list[Rate]:
        crews: dict[tuple[str, int], list[Side]] = {}
        for candidate in candidates:
            for processes, threads in self._arrangements:
                crews[candidate.name, processes] = self._crew(candidate, processes, threads)
        frames: dict[tuple[str, int], list[float]] = {}
        for _ in range(_RATE_ROUNDS):
            for candidate in candidates:
                for processes, threads in self._arrangements:
                    if candidate.name not in self.failed:
                        rate = self._together(crews[candidate.name, processes], threads)
                        frames.setdefault((candidate.name, processes), []).append(rate)
        return [
            Rate(candidate, processes, threads, sum(found) / len(found))
            for candidate in candidates
            for processes, threads in self._arrangements
            if candidate.name not in self.failed and (found := frames[candidate.name, processes])
        ]

    def _start(self, candidate: Candidate) -> None:
        """One process for all numbers of threads, or one each."""
        side: Side | None = None
        for threads in self._threads:
            if side is None or candidate.runtime in _ALONE:
                side = self._side(candidate)
            side.ask("load", threads=threads)
            self._sides[candidate.name, threads] = side

    def _crew(self, candidate: Candidate, processes: int, threads: int) -> list[Side]:
        """The process that is there already, and those that are still to be started."""
        first = self._sides[candidate.name, threads]
        crew = [first, *(self._side(candidate) for _ in range(processes - 1))]
        for side in crew[1:]:
            side.ask("load", threads=threads)
        for side in crew[1:]:
            self._heard(side)
        return crew

    def _together(self, crew: Sequence[Side], threads: int) -> float:
        at = time.time() + _TOGETHER_S
        for side in crew:
            side.ask("rate", threads=threads, seconds=self._seconds / _RATE_ROUNDS, at=at)
        return float(sum(self._heard(side).get("frames_per_s", 0.0) for side in crew))

    def _side(self, candidate: Candidate) -> Side:
        return self._stack.enter_context(Side(self._model, candidate, self._pictures))

    def _asked(self, side: Side, task: str, **values: float) -> dict[str, Any]:
        side.ask(task, **values)
        return self._heard(side)

    def _heard(self, side: Side) -> dict[str, Any]:
        self.bar.update(min(1, self.bar.total - self.bar.n))
        try:
            return side.hear()
        except CandidateFailed as error:
            self.failed[side.candidate.name] = str(error)
            if not error.absent:
                logger.warning("%s: not measured: %s", side.candidate.name, error)
            return {}


def _nothing(
    model: Path, wanted: Precision, failed: dict[str, str], best: dict[Precision, Winner], *, asked: bool
) -> BadBundle | BadSetting:
    why = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
    if asked and best:
        return BadSetting(
            f"{model}: nothing here runs it in the precision {wanted}, there are: {', '.join(best)}"
            + (f". Not measured: {why}" if why else "")
        )
    return BadBundle(f"{model}: no runtime here runs it: {why or 'it has none but the file for phones'}")


def _reason(wanted: Precision, bundle: Bundle | None, *, asked: bool) -> str:
    if asked:
        return f"the fastest in {wanted}, as asked"
    if bundle is None:
        return "the one that runs it"
    return f"the fastest in {wanted}, the precision of {bundle.manifest.default}, the bundle's default file"
