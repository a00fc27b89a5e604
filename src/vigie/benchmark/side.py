"""The parent's half of `child`: a process that runs one candidate."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vigie.benchmark.candidates import Candidate
from vigie.errors import VigieError

ANSWER_S = 300.0
"""Until an answer: where all load at once, it may take long on a small machine."""


class CandidateFailed(VigieError):
    """A candidate that cannot be measured, and why. `absent` where its library is not installed."""

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


class Side:
    """Ends its process when it is left. What it is asked is answered later: ask several, then hear them."""

    def __init__(self, model: Path, candidate: Candidate, pictures: Sequence[Path]) -> None:
        self.candidate = candidate
        self._told = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed on exit
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vigie.benchmark.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._told, bufsize=0,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        self._write(
            {
                "model": str(model.resolve()),
                "file": candidate.file,
                "runtime": candidate.runtime,
                "options": dict(candidate.options),
                "pictures": [str(one.resolve()) for one in pictures],
            }
        )
        self._unheard = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._told.close()

    def ask(self, task: str, **values: float) -> None:
        self._write({"task": task, **values})
        self._unheard += 1

    def hear(self, timeout_s: float = ANSWER_S) -> dict[str, Any]:
        """The answer to what was asked last.

        Raises:
            CandidateFailed: it told an error, has died, or has not answered in time.
        """
        end = time.monotonic() + timeout_s
        answer: dict[str, Any] = {}
        while self._unheard:
            answer = json.loads(self._line(end))
            self._unheard -= 1
            if "error" in answer:
                raise CandidateFailed(answer["error"], absent=answer["kind"] == "Unavailable")
        return answer

    def _line(self, end: float) -> bytes:
        assert self._process.stdout is not None
        # A line is written at once, so what can be read is whole.
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise CandidateFailed("it has not answered in time")
        line: bytes = self._process.stdout.readline()
        if not line:
            raise CandidateFailed(f"its process ended with {self._process.wait()}: {self._last_words()}")
        return line

    def _write(self, what: dict[str, object]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died; whoever hears it is told why

    def _last_words(self) -> str:
        self._told.seek(0)
        return (self._told.read().strip().splitlines() or ["it said nothing"])[-1]
