"""Processes that work in turns: the half of a child, and that of the parent, which starts, hears and ends it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Child:
    """Tells the parent how long each turn took, and waits for the next one. Make it before anything prints."""

    def __init__(self, *, turn: int, steps: int) -> None:
        self._turn = turn
        self._steps = steps
        self._begin: tuple[float, float] | None = None
        # What libraries print must not come between.
        self._parent = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def after(self, step: int) -> None:
        """To be called after each step, or each few. The first turn, in which graphs are made, has no time."""
        if step % self._turn or step == self._steps:  # the last turn is told with the end of all
            return
        told = {}
        if self._begin is not None:
            wall, processor = self._begin
            told = {"seconds": time.perf_counter() - wall, "processor": time.process_time() - processor}
        self.tell(told)
        sys.stdin.readline()
        self._begin = time.perf_counter(), time.process_time()

    def tell(self, what: dict[str, Any]) -> None:
        self._parent.write(json.dumps(what) + "\n")
        self._parent.flush()


class Side:
    """A child, which works when it is told to go."""

    def __init__(self, program: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(program), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        )

    def told(self) -> dict[str, Any]:
        """What it says at the end of its turn."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args} ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def go(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.told()

    def end(self) -> None:
        self._process.communicate()
