"""How fast a source gives its captures."""

import time
from threading import Event


class Pace:
    """Lets one capture through a period; a reader that was slow is not made up for with a burst."""

    def __init__(self, fps: float | None, closed: Event) -> None:
        """`fps` None is as fast as possible; `closed` ends a wait at once, from any thread."""
        self._period_s = 0.0 if fps is None else 1.0 / fps
        self._closed = closed
        self._due = time.monotonic()

    def wait(self) -> bool:
        """Return True when the next capture is due, False when the source was closed."""
        if self._closed.wait(max(0.0, self._due - time.monotonic())):
            return False
        self._due = max(self._due, time.monotonic() - self._period_s) + self._period_s
        return True
