"""What one browser is owed: the newest frame of each camera, never more than it can take."""

import asyncio

from vigie.errors import BadMessage
from vigie.streaming.web.wire import LiveFrame

IN_FLIGHT_LIMIT = 2  # one is drawn while the next travels; more would be lag in TCP's buffers


class Viewer:
    """Belongs to the event loop. Bounded by one waiting frame a camera: a newer one replaces it, this viewer loses."""

    def __init__(self, *, in_flight_limit: int = IN_FLIGHT_LIMIT) -> None:
        self._in_flight_limit = in_flight_limit
        self._waiting: dict[str, LiveFrame] = {}
        # Ids in the order they were sent. A list, since a worker that crashed sends a frame again under its id.
        self._in_flight: dict[str, list[str]] = {}
        self._moved = asyncio.Event()
        self._progress_s = 0.0
        self.replaced = 0

    def offer(self, frame: LiveFrame) -> None:
        """Never blocks; replaces what waits for the same camera."""
        # Assigning to a key keeps its place, so the camera that waits longest is served first.
        self.replaced += frame.camera in self._waiting
        self._waiting[frame.camera] = frame
        self._moved.set()

    def forget(self, camera: str) -> None:
        self._waiting.pop(camera, None)

    async def take(self) -> LiveFrame:
        """The next frame to send, once a camera has one and fewer than the limit are in flight."""
        while (frame := self._ready()) is None:
            self._moved.clear()
            await self._moved.wait()
        now_s = asyncio.get_running_loop().time()
        if not self._in_flight:
            self._progress_s = now_s
        del self._waiting[frame.camera]
        self._in_flight.setdefault(frame.camera, []).append(frame.frame_id)
        return frame

    def _ready(self) -> LiveFrame | None:
        for camera, frame in self._waiting.items():
            if len(self._in_flight.get(camera, ())) < self._in_flight_limit:
                return frame
        return None

    def acknowledge(self, camera: str, frame_id: str) -> None:
        """The client is done with a frame.

        Raises:
            BadMessage: that frame is not in flight.
        """
        sent = self._in_flight.get(camera, [])
        if frame_id not in sent:
            raise BadMessage("an acknowledgement names a frame that is in flight")
        sent.remove(frame_id)
        if not sent:
            del self._in_flight[camera]
        self._progress_s = asyncio.get_running_loop().time()
        self._moved.set()

    def silent_s(self, now_s: float) -> float:
        """Seconds since the client last acknowledged anything while it owes an acknowledgement, otherwise 0."""
        return now_s - self._progress_s if self._in_flight else 0.0
