"""A camera that goes on for ever: its newest picture, opened anew whenever it stalls."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread

import cv2
import numpy as np

from vigie.errors import Unavailable
from vigie.pictures import Pixels, encode_jpeg
from vigie.ports import Capture
from vigie.streaming.pacing import Pace

logger = logging.getLogger(__name__)

READ_S = 2.0  # of silence is a stall
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
LETTING_GO_S = 3.0  # longer than a read waits: the reading thread closes the handle
USUAL_FPS = 25.0
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Gap:
    """Between the last picture before a stall and the first one after it; `until` is None while it lasts."""

    since: datetime
    until: datetime | None = None

    def seconds(self, now: datetime) -> float:
        return ((self.until or now) - self.since).total_seconds()


@dataclass(frozen=True, slots=True)
class _Shot:
    at: datetime
    bgr: cv2.typing.MatLike


class LiveSource:
    """A `vigie.ports.FrameSource` over a handle of OpenCV.

    A thread reads all the time and keeps the newest picture alone: a reader that is slower than the camera misses
    pictures, and never sees an old one. `fps` is how many a second the camera says it gives; `most_fps` gives fewer.
    `gaps` are the stalls so far; `missed` counts what came and was not taken.
    """

    def __init__(
        self,
        open_: Callable[[], cv2.VideoCapture],
        *,
        where: str,
        most_fps: float | None,
        jpeg_quality: int,
    ) -> None:
        """
        Raises:
            Unavailable: `open_` does; a camera that is dead from the start is not waited for.
        """
        self._open = open_
        self._where = where
        self._most_fps = most_fps
        self._jpeg_quality = jpeg_quality
        self._closed = Event()
        self._let_go_by = 0.0
        self._epoch = f"live:{uuid.uuid4().hex}"
        self._slot = _Slot()
        self.gaps: list[Gap] = []
        self._handle: cv2.VideoCapture | None = open_()
        self._thread: Thread | None = None
        self.fps = min(_own_fps(self._handle), most_fps or np.inf)

    @property
    def epoch(self) -> str:
        # What a camera gave it never gives again.
        return self._epoch

    @property
    def length(self) -> int | None:
        return None

    @property
    def missed(self) -> int:
        return self._slot.missed

    def captures(self) -> Iterator[Capture]:
        if self._thread is None and not self._closed.is_set():
            self._thread = Thread(target=self._read, name="camera", daemon=True)
            self._thread.start()
        pace = Pace(self._most_fps, self._closed)
        seq = 0
        try:
            while pace.wait() and (shot := self._next()) is not None:
                rgb: Pixels = np.asarray(cv2.cvtColor(shot.bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
                yield Capture(seq, shot.at, encode_jpeg(rgb, self._jpeg_quality))
                seq += 1
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the camera; may wait as long as a stalled read does, once."""
        if not self._closed.is_set():
            self._let_go_by = time.monotonic() + LETTING_GO_S
            self._closed.set()
        if self._thread is not None:
            self._thread.join(max(0.0, self._let_go_by - time.monotonic()))
        elif self._handle is not None:
            self._handle.release()

    def _next(self) -> _Shot | None:
        while not self._closed.is_set():
            shot = self._slot.take(_TICK_S)
            if shot is not None:
                return shot
        return None

    def _read(self) -> None:
        last = datetime.now(UTC)
        pause_s = FIRST_PAUSE_S
        while True:
            if self._handle is not None:
                for shot in self._pictures(self._handle):
                    if self._stalled:
                        self._over(shot.at)
                    last, pause_s = shot.at, FIRST_PAUSE_S
                    self._slot.put(shot)
                if not (self._stalled or self._closed.is_set()):
                    self.gaps.append(Gap(last))
                    logger.warning("%s: no picture comes any more; it is opened again", self._where)
            if self._closed.wait(pause_s):
                return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._handle = self._again(pause_s)

    @property
    def _stalled(self) -> bool:
        return bool(self.gaps) and self.gaps[-1].until is None

    def _pictures(self, handle: cv2.VideoCapture) -> Iterator[_Shot]:
        """Until none comes within the handle's time-out. Whatever `isOpened` says then, the handle is dead."""
        try:
            while not self._closed.is_set():
                begun = time.monotonic()
                read, bgr = handle.read()
                # After its time-out a decoder still gives the pictures that it held back, a time-out each.
                if not read or time.monotonic() - begun > 0.95 * READ_S:
                    return
                yield _Shot(datetime.now(UTC), bgr)
        finally:
            handle.release()

    def _over(self, at: datetime) -> None:
        gap = Gap(self.gaps[-1].since, at)
        self.gaps[-1] = gap
        logger.warning("%s: pictures come again; seconds without one: %.1f", self._where, gap.seconds(at))

    def _again(self, pause_s: float) -> cv2.VideoCapture | None:
        try:
            return self._open()
        except Unavailable as error:
            logger.warning("%s; next try in %.1f s", error, pause_s)
            return None


class _Slot:
    """Room for one picture: a newer one takes its place."""

    def __init__(self) -> None:
        self._shot: _Shot | None = None
        self._filled = threading.Condition()
        self.missed = 0

    def put(self, shot: _Shot) -> None:
        with self._filled:
            self.missed += self._shot is not None
            self._shot = shot
            self._filled.notify()

    def take(self, timeout_s: float) -> _Shot | None:
        with self._filled:
            if self._shot is None:
                self._filled.wait(timeout_s)
            shot, self._shot = self._shot, None
            return shot


def _own_fps(handle: cv2.VideoCapture) -> float:
    fps = float(handle.get(cv2.CAP_PROP_FPS))
    return fps if 1 <= fps <= 240 else USUAL_FPS
