"""The life of a process of `vigie.data.workers`; on its own, for it loads little."""

import os
import pickle
import sys
from collections.abc import Callable
from typing import Any


def serve() -> None:
    """A worker's life: jobs from standard input, results to standard output, until that is closed."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not end up among the results
    jobs = sys.stdin.buffer
    function: Callable[[Any], Any] = repr
    while True:
        try:
            is_function, item = pickle.load(jobs)  # noqa: S301 - of the process that started us
        except EOFError:
            return
        if is_function:
            function = pickle.loads(item)  # noqa: S301
            continue
        try:
            answer = (True, function(item))
        except Exception as error:  # noqa: BLE001 - it is raised again where the job came from
            answer = (False, error)
        try:
            results.write(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))
            results.flush()
        except BrokenPipeError:
            return
