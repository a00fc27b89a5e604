"""How a process of the live side behaves: it ends on a signal, says when it is ready, and ends with its supervisor."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from vigie.streaming.processes import supervisor_of, write_marker

logger = logging.getLogger(__name__)

TICK_S = 0.5
SHORTEST_LIFE_S = 2.0  # supervisord takes what ends within its `startsecs` for a failed start


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` once on SIGTERM or SIGINT, from a thread: a lock that the main thread holds cannot block it."""

    def on_signal(number: int, _: FrameType | None) -> None:
        logger.info("%s: ending", signal.Signals(number).name)
        threading.Thread(target=stop, name="stop", daemon=True).start()

    before = {kind: signal.signal(kind, on_signal) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


@contextmanager
def supervised(marker: Path | None) -> Iterator[Callable[..., None]]:
    """Give the function to call when ready; without a marker, when a person started us, it does nothing.

    With one, this process ends when its supervisor is gone.
    """
    if marker is None:
        yield lambda *_: None
        return
    started = time.monotonic()
    write_marker(marker, ready=False)
    threading.Thread(target=_end_with_supervisor, args=(marker.parent,), name="supervisor", daemon=True).start()
    yield lambda address="": write_marker(marker, ready=True, address=address)
    # Not after an error: that is a failed start, or a crash.
    time.sleep(max(0.0, SHORTEST_LIFE_S - (time.monotonic() - started)))


def _end_with_supervisor(folder: Path) -> None:
    time.sleep(TICK_S)  # it writes its mark just after it has started
    while supervisor_of(folder) is not None:
        time.sleep(TICK_S)
    logger.warning("the supervisor is gone: ending")
    os.kill(os.getpid(), signal.SIGTERM)
