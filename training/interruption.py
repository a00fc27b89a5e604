"""Ctrl-C and a polite kill end a training between two steps, after it was saved; a second one ends it at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """`asked` is the signal that came, if one did."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def end(self) -> None:
        """Do now what the signal would have done at once."""
        if self.asked is not None:
            self._put_back()
            signal.raise_signal(signal.Signals(self.asked))

    def _listen(self) -> None:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.asked = number
        self._put_back()

    def _put_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)


@contextmanager
def between_steps() -> Iterator[Interruption]:
    """Holds the signals back while it is entered. Python gives them to the main thread alone; elsewhere none come."""
    found = Interruption()
    if threading.current_thread() is threading.main_thread():
        found._listen()
    try:
        yield found
    finally:
        found._put_back()
