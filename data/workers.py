"""Jobs in Python processes of their own, for work that the interpreter's lock would hold up in threads.

Neither `fork` nor `multiprocessing`: a fork beside TensorFlow's or a notebook's threads may hang, and what
`multiprocessing` starts runs the script that it was called from a second time.
"""

import contextlib
import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from vigie.data.parallel import in_order
from vigie.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

_SERVE = "import sys; sys.path[:] = {path!r}; from vigie.data.workers import serve; serve()"


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS has none


class Workers:
    """Worker processes that live until the end of the `with` block, or until this process dies.

    They start when a job is first large enough to be worth it; smaller ones run on threads here. Ctrl-C reaches this
    process alone, which then ends them.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count or cores()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        self._processes.clear()

    def in_order(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, many: bool = True
    ) -> Iterator[Result]:
        """The results in the order of the items; at most two items a core are under way or waiting to be taken.

        `function`, items and results are pickled; a function that is sent again keeps what it has cached.

        Raises:
            Unavailable: a worker ended, for it was killed or memory ran out.
        """
        if not many:
            yield from in_order(function, items)
            return
        self._start()
        pickled = pickle.dumps(function)
        yield from in_order(lambda item: self._ask(pickled, item), items, workers=self._count)

    def _start(self) -> None:
        while len(self._processes) < self._count:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", _SERVE.format(path=sys.path)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
                # A thread pool in each worker would only take memory: the cores are taken.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
            self._processes.append(process)
            self._free.put(process)

    def _ask(self, function: bytes, item: Any) -> Any:
        process = self._free.get()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _send(process.stdin, (function, item))
            done, outcome = pickle.load(process.stdout)  # noqa: S301 - of our own process
        except (EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
            raise Unavailable(
                f"a worker process ended in the middle of its work (exit code {process.poll()}): it was killed, "
                "perhaps because memory ran out; free some and run it again, what is finished is kept"
            ) from error
        finally:
            self._free.put(process)
        if done:
            return outcome
        raise outcome


def serve() -> None:
    """A worker's life: jobs from standard input, results to standard output, until that is closed."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not end up among the results
    jobs = sys.stdin.buffer
    known = b""
    function: Callable[[Any], Any] = repr
    while True:
        try:
            wanted, item = pickle.load(jobs)  # noqa: S301 - of the process that started us
        except EOFError:
            return
        if wanted != known:
            known, function = wanted, pickle.loads(wanted)  # noqa: S301
        try:
            answer = (True, function(item))
        except Exception as error:  # noqa: BLE001 - it is raised again where the job came from
            answer = (False, error)
        try:
            _send(results, answer)
        except BrokenPipeError:
            return


def _send(stream: IO[bytes], message: Any) -> None:
    stream.write(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))
    stream.flush()
