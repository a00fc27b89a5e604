"""A process that runs one candidate: told what to do in a line of JSON on standard input, answers with one.

A process of its own for each, for some runtimes can choose their threads but once, and others keep theirs busy for a
while after the work.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import cv2

from vigie.detectors import load_detector
from vigie.errors import VigieError
from vigie.pictures import REDUCE_FROM, Picture
from vigie.ports import Detector

WARM_UP = 5
LEAST = 3
"""Pictures that are timed at least, however short the time is."""


def main() -> None:
    # What libraries print must not come between.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.basicConfig(level=logging.WARNING)
    tasks: _Tasks | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if tasks is None:
                tasks = _Tasks(**asked)
                answer: dict[str, Any] = {}
            else:
                task: Callable[..., dict[str, Any]] = getattr(tasks, asked.pop("task"))
                answer = task(**asked)
        except VigieError as error:
            answer = {"error": str(error), "kind": type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class _Tasks:
    def __init__(
        self, model: str, file: str | None, runtime: str, options: dict[str, str], pictures: Sequence[str]
    ) -> None:
        self._model = Path(model)
        self._file = file
        self._runtime = runtime
        self._options = options
        self._encoded = [Path(one).read_bytes() for one in pictures]
        self._detectors: dict[int, Detector] = {}

    def load(self, threads: int) -> dict[str, Any]:
        """And run it until it is warm."""
        self._detectors[threads] = load_detector(
            self._model,
            runtime=self._runtime,
            file=self._file,
            threads=threads,
            runtime_options=self._options,
        )
        cv2.setNumThreads(threads)
        for number in range(WARM_UP):
            self._look(self._detectors[threads], number)
        return {}

    def times(self, threads: int, seconds: float) -> dict[str, Any]:
        """Of single pictures, in milliseconds."""
        detector = self._detectors[threads]
        cv2.setNumThreads(threads)
        self._look(detector, 0)  # what others left in the caches is not counted
        taken: list[float] = []
        end = time.perf_counter() + seconds
        for number in count():
            begin = time.perf_counter()
            if begin >= end and number >= LEAST:
                break
            self._look(detector, number)
            taken.append(1000 * (time.perf_counter() - begin))
        return {"milliseconds": taken}

    def rate(self, threads: int, seconds: float, at: float) -> dict[str, Any]:
        """Pictures a second, from the time `at` on, at which all others begin too."""
        detector = self._detectors[threads]
        cv2.setNumThreads(threads)
        self._look(detector, 0)
        time.sleep(max(0.0, at - time.time()))
        begin = time.perf_counter()
        for number in count(1):
            self._look(detector, number)
            passed = time.perf_counter() - begin
            if passed >= seconds and number >= LEAST:
                return {"frames_per_s": number / passed}
        raise AssertionError("counting has no end")

    def _look(self, detector: Detector, number: int) -> None:
        """As the worker does it, from the encoded picture to detections."""
        detector.detect([Picture.from_bytes(self._encoded[number % len(self._encoded)], reduce_from=REDUCE_FROM)])


if __name__ == "__main__":
    main()
