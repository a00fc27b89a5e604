"""A source onto the bus."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from threading import Event, Thread

from vigie.domain import Frame
from vigie.ports import Bus, Capture, FrameSource, Message
from vigie.streaming.detection import MAX_JPEG_BYTES, frame_of_capture
from vigie.streaming.messages import Topics, frame_message, unsent_letter
from vigie.streaming.outage import Stopped, outlast

logger = logging.getLogger(__name__)

BATCH = 16  # frames that are flushed together at most; also how many wait to be sent
MAX_LAG = 500  # a source that ends waits for the workers before it is further ahead of them
_TICK_S = 0.2


@dataclass(slots=True)
class Ingested:
    """What one run did."""

    frames: int = 0
    too_large: int = 0


def ingest(
    source: FrameSource,
    *,
    camera: str,
    bus: Bus,
    topics: Topics,
    stop: Event,
    max_lag: int = MAX_LAG,
    ready: Callable[[], None] = lambda: None,
) -> Ingested:
    """Send all that the source gives until it ends or `stop` is set; what was sent is flushed before returning.

    While the bus is away the source waits: a file loses nothing, a camera loses what it would have given meanwhile.

    `ready` is called when the bus has answered.

    Raises:
        BusUnavailable: the bus cannot be reached at the start.
    """
    bus.ensure_topics(topics.all)
    logger.info("ingest begins: camera=%s epoch=%s length=%s", camera, source.epoch, source.length)
    ready()
    counts = Ingested()
    throttle = _Throttle(bus, topics, max_lag if source.length is not None else None, stop)
    try:
        for batch in _batches(source, stop):
            throttle.wait(len(batch))
            messages = [_message(capture, camera, source.epoch, topics, counts) for capture in batch]
            _deliver(bus, messages, stop)
            counts.frames += len(batch)
    except Stopped:
        logger.warning("ingest ends while the bus is away; the last frames were not sent: camera=%s", camera)
    finally:
        source.close()
    logger.info("ingest ends: camera=%s frames=%d too_large=%d", camera, counts.frames, counts.too_large)
    return counts


def _message(capture: Capture, camera: str, epoch: str, topics: Topics, counts: Ingested) -> Message:
    frame = frame_of_capture(capture, camera, epoch)
    message = frame_message(topics, _stamped(frame))
    if len(frame.jpeg) <= MAX_JPEG_BYTES:
        return message
    counts.too_large += 1
    reason = f"the picture has {len(frame.jpeg)} bytes, over the limit of {MAX_JPEG_BYTES}"
    logger.warning("frame %s (seq %d): %s", frame.id, frame.seq, reason)
    return unsent_letter(topics, message, stage="ingest", reason=reason, at=datetime.now(UTC))


def _stamped(frame: Frame) -> Frame:
    capture_ms = 1000 * (datetime.now(UTC) - frame.captured_at).total_seconds()
    return replace(frame, times_ms={"capture": round(max(0.0, capture_ms), 3)})


def _deliver(bus: Bus, messages: Sequence[Message], stop: Event) -> None:
    def send() -> None:
        for message in messages:
            bus.send(message)
        bus.flush()

    # After a failure nothing is known of the batch, so it is sent whole: a frame may come twice, under one id.
    outlast(send, stop=stop, what="ingest")


def _batches(source: FrameSource, stop: Event) -> Iterator[list[Capture]]:
    """What has come since the last batch, so that a lone frame never waits for company.

    The source runs in a thread of its own; the queue between is bounded, and when it is full the source waits.
    """
    queue: Queue[Capture | BaseException | None] = Queue(BATCH)
    Thread(target=_read, args=(source, queue, stop), name="source", daemon=True).start()
    while True:
        batch, end = _drain(queue, stop)
        if batch:
            yield batch
        if isinstance(end, BaseException):
            raise end
        if end is _END:
            return


_END = object()


def _drain(queue: "Queue[Capture | BaseException | None]", stop: Event) -> tuple[list[Capture], object]:
    """The captures that wait, and behind the last one `_END` or the source's error."""
    batch: list[Capture] = []
    while len(batch) < BATCH:
        try:
            item = queue.get(block=not batch, timeout=_TICK_S)
        except Empty:
            return batch, _END if stop.is_set() and not batch else None
        if not isinstance(item, Capture):
            return batch, _END if item is None else item
        batch.append(item)
    return batch, None


def _read(source: FrameSource, queue: "Queue[Capture | BaseException | None]", stop: Event) -> None:
    try:
        for capture in source.captures():
            if stop.is_set() or not _put(queue, capture, stop):
                return
        _put(queue, None, stop)
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
        _put(queue, error, stop)


def _put(queue: "Queue[Capture | BaseException | None]", item: Capture | BaseException | None, stop: Event) -> bool:
    while True:
        try:
            queue.put(item, timeout=_TICK_S)
        except Full:
            if stop.is_set():
                return False
        else:
            return True


class _Throttle:
    """Keeps a source that ends from running so far ahead of the workers that a bounded bus would drop its frames."""

    def __init__(self, bus: Bus, topics: Topics, max_lag: int | None, stop: Event) -> None:
        self._bus = bus
        self._topics = topics
        self._max_lag = max_lag
        self._stop = stop
        self._room = 0

    def wait(self, frames: int) -> None:
        if self._max_lag is None:
            return
        told = False
        while self._room < frames:
            lag = outlast(
                lambda: self._bus.lag(self._topics.frames, self._topics.workers), stop=self._stop, what="ingest"
            )
            self._room = self._max_lag - lag
            if self._room < frames:
                if not told:
                    logger.info("ingest waits for the workers, which are %d frames behind", lag)
                    told = True
                if self._stop.wait(_TICK_S):
                    raise Stopped
        self._room -= frames
