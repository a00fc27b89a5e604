"""From the bus to the event loop: a thread that tails one topic."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from vigie.errors import BadMessage, BusUnavailable
from vigie.ports import Bus, Consumer, Record
from vigie.streaming.messages import annotated_of
from vigie.streaming.web.hub import CAMERAS_LIMIT
from vigie.streaming.web.wire import LiveFrame, live_frame

log = logging.getLogger(__name__)

POLL_TIMEOUT_S = 0.5
MAX_RECORDS = 64
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0


class Feed:
    """Reads what comes from now on and calls `deliver` on the event loop.

    Bounded: between two turns of the loop the newest frame of each camera waits, older ones are dropped; past
    `CAMERAS_LIMIT` cameras the one that waits longest. A bus that is away is tried again with a growing pause.
    """

    def __init__(self, bus: Bus, topic: str, deliver: Callable[[LiveFrame], None]) -> None:
        self._bus = bus
        self._topic = topic
        self._deliver = deliver
        self._waiting: dict[str, LiveFrame] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pause_s = FIRST_PAUSE_S
        self.received = 0
        self.malformed = 0
        self.trouble = ""
        """Why the bus is not being read at the moment; empty while it is."""
        self.crash: BaseException | None = None
        """A bug that ended the thread."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has let go of the bus."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._tail()
                except BusUnavailable as error:
                    self.trouble = str(error)
                    log.warning("the bus is away, trying again in %.1f s: %s", self._pause_s, error)
                    self._stopping.wait(self._pause_s)
                    self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        except BaseException as error:
            self.crash = error
            raise

    def _tail(self) -> None:
        consumer = self._bus.tail([self._topic])
        try:
            while not self._stopping.is_set():
                self._hand_over(self._poll(consumer))
        finally:
            consumer.close()

    def _poll(self, consumer: Consumer) -> list[Record]:
        records = consumer.poll(POLL_TIMEOUT_S, MAX_RECORDS)
        self.trouble = ""
        self._pause_s = FIRST_PAUSE_S
        return records

    def _hand_over(self, records: list[Record]) -> None:
        frames = [frame for record in records if (frame := self._frame_of(record)) is not None]
        if not frames or self._loop is None:
            return
        with self._lock:
            scheduled = bool(self._waiting)
            for frame in frames:
                self._waiting.pop(frame.camera, None)
                if len(self._waiting) >= CAMERAS_LIMIT:
                    del self._waiting[next(iter(self._waiting))]
                self._waiting[frame.camera] = frame
        if not scheduled and not self._stopping.is_set():
            self._loop.call_soon_threadsafe(self._drain)

    def _frame_of(self, record: Record) -> LiveFrame | None:
        self.received += 1
        try:
            return live_frame(annotated_of(record.message), time.monotonic())
        except BadMessage as error:
            self.malformed += 1
            log.warning(
                "skipped a malformed record topic=%s partition=%d offset=%d: %s",
                record.message.topic, record.partition, record.offset, error,
            )  # fmt: skip
            return None

    def _drain(self) -> None:
        with self._lock:
            frames = list(self._waiting.values())
            self._waiting.clear()
        for frame in frames:
            self._deliver(frame)
