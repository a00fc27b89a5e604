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
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from vigie.data.parallel import in_order
from vigie.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 3
_SERVE = "import sys; sys.path[:] = {path!r}; from vigie.data.serving import serve; serve()"


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS has none


class Workers:
    """Worker processes that live until the end of the `with` block, or until this process dies.

    They start when a job is first large enough to be worth it, or when told to; smaller ones run on threads here.
    Ctrl-C reaches this process alone, which then ends them.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count or cores()
        self._processes: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for worker in self._processes:
            worker.kill()
        for worker in self._processes:
            worker.close()
        self._processes.clear()

    def start(self) -> None:
        """Now, so that they are ready when a job comes."""
        while len(self._processes) < self._count:
            self._processes.append(_Worker())

    def in_order(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, many: bool = True
    ) -> Iterator[Result]:
        """The results in the order of the items; at most three items a core are under way or waiting to be taken.

        `function`, items and results are pickled. Each worker has its turn, and always two items more than it works
        at, so that it need not wait for this process on a busy machine.

        Raises:
            Unavailable: a worker ended, for it was killed or memory ran out.
        """
        if not many:
            yield from in_order(function, items)
            return
        self.start()
        pickled = pickle.dumps(function, protocol=pickle.HIGHEST_PROTOCOL)
        rest = iter(items)
        for worker in self._processes:
            worker.send(pickled)
        asked: deque[_Worker] = deque()
        try:
            # The workers come first: so no item is taken that none is left for.
            for worker, item in zip(self._processes * _AHEAD, rest, strict=False):
                worker.ask(item)
                asked.append(worker)
            while asked:
                worker = asked.popleft()
                result = worker.answer()
                for item in islice(rest, 1):
                    worker.ask(item)
                    asked.append(worker)
                yield result
        except KeyboardInterrupt:  # perhaps in the middle of an answer
            asked.clear()
            self._end()
            raise
        finally:
            for worker in asked:  # what nobody waits for any more must not be the answer to another question
                worker.forget()


class _Worker:
    """One process. A thread writes to it, so that it and this process never wait for each other to read."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _SERVE.format(path=sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            # A thread pool in each worker would only take memory: the cores are taken.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        self._to_send: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # a few at most, see `in_order`
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def send(self, pickled_function: bytes) -> None:
        """What is done with the items that follow."""
        self._to_send.put(pickle.dumps((True, pickled_function), protocol=pickle.HIGHEST_PROTOCOL))

    def ask(self, item: Any) -> None:
        self._to_send.put(pickle.dumps((False, item), protocol=pickle.HIGHEST_PROTOCOL))

    def answer(self) -> Any:
        """To the first item that has not been answered."""
        done, outcome = self._answer()
        if done:
            return outcome
        raise outcome

    def forget(self) -> None:
        with contextlib.suppress(Unavailable):
            self._answer()

    def _answer(self) -> tuple[bool, Any]:
        assert self._process.stdout is not None
        try:
            done, outcome = pickle.load(self._process.stdout)  # noqa: S301 - of our own process
        except (EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
            raise Unavailable(
                f"a worker process ended in the middle of its work (exit code {self._process.poll()}): it was killed, "
                "perhaps because memory ran out; free some and run it again, what is finished is kept"
            ) from error
        return done, outcome

    def _write(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it ended: whoever waits for its answer is told
            while (message := self._to_send.get()) is not None:
                self._process.stdin.write(message)
                self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._to_send.put(None)

    def close(self) -> None:
        self._process.wait()
        self._writer.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
