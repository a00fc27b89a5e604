"""Frames off the bus, detections and drawn pictures back onto it."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from threading import Event

from vigie.domain import Frame
from vigie.errors import BadMessage, BadPicture
from vigie.ports import Bus, Detector, Message, Record
from vigie.streaming.detection import Seen, Stopwatch, annotated, detect_frames
from vigie.streaming.messages import (
    Annotated,
    Topics,
    annotated_message,
    dead_letter,
    detections_message,
    frame_of,
)
from vigie.streaming.outage import Stopped, outlast

logger = logging.getLogger(__name__)

BATCH = 4
POLL_TIMEOUT_S = 0.5
REPORT_EVERY_S = 30.0


@dataclass(slots=True)
class Worked:
    """What one run did."""

    frames: int = 0
    dead_letters: int = 0


def work(
    bus: Bus,
    detector: Detector,
    *,
    topics: Topics,
    model: str,
    member: str,
    stop: Event,
    batch: int = BATCH,
    poll_timeout_s: float = POLL_TIMEOUT_S,
    ready: Callable[[], None] = lambda: None,
) -> Worked:
    """Look at frames until `stop` is set. What is committed has its results on the bus; a crash repeats frames.

    While the bus or the model's server is away nothing is committed and nothing dead-lettered. `ready` is called when
    it has joined.

    Raises:
        BusUnavailable: the bus cannot be reached at the start.
    """
    bus.ensure_topics(topics.all)
    consumer = bus.consumer([topics.frames], topics.workers, member=member)
    logger.info("worker begins: member=%s model=%s batch=%d", member, model, batch)
    ready()
    counts = Worked()
    report = _Report(counts)
    try:
        while not stop.is_set():
            records = outlast(lambda: consumer.poll(poll_timeout_s, batch), stop=stop, what="worker")
            if not records:
                continue
            decision = partial(decide, records, detector, topics=topics, model=model, polled_at=datetime.now(UTC))
            # A model on a server may be away like the bus: then no frame is to blame.
            messages = outlast(decision, stop=stop, what="worker")
            with report.sending():
                outlast(partial(_send, bus, messages), stop=stop, what="worker")
            # After the results are acknowledged: a crash repeats a frame, never loses one.
            outlast(partial(consumer.commit, records), stop=stop, what="worker")
            counts.dead_letters += (dead := sum(message.topic == topics.dead_letters for message in messages))
            counts.frames += len(records) - dead
    except Stopped:
        logger.warning("worker ends during an outage; its last frames come again")
    finally:
        consumer.close()
    logger.info("worker ends: frames=%d dead_letters=%d", counts.frames, counts.dead_letters)
    return counts


def _send(bus: Bus, messages: Sequence[Message]) -> None:
    for message in messages:
        bus.send(message)
    bus.flush()


class _Report:
    """A line in the log now and then: what was done, and what sending took, which no message can tell of itself."""

    def __init__(self, counts: Worked) -> None:
        self._counts = counts
        self._frames_before = 0
        self._since = time.monotonic()
        self._send_ms = 0.0

    @contextmanager
    def sending(self) -> Iterator[None]:
        watch = Stopwatch()
        with watch.time("send"):
            yield
        self._send_ms += watch.times_ms["send"]
        passed_s = time.monotonic() - self._since
        if passed_s >= REPORT_EVERY_S:
            frames = self._counts.frames - self._frames_before
            logger.info(
                "worker: frames=%d fps=%.1f send_ms_each=%.1f dead_letters=%d",
                self._counts.frames,
                frames / passed_s,
                self._send_ms / max(1, frames),
                self._counts.dead_letters,
            )
            self._frames_before, self._since, self._send_ms = self._counts.frames, time.monotonic(), 0.0


def decide(
    records: Sequence[Record], detector: Detector, *, topics: Topics, model: str, polled_at: datetime
) -> list[Message]:
    """The messages that answer these records, in their order: detections and a drawn picture, or a dead letter each."""
    read = [_read(record, polled_at) for record in records]
    frames = [frame for frame in read if isinstance(frame, Frame)]
    outcomes = iter(detect_frames(detector, frames, model=model))
    messages: list[Message] = []
    for record, frame in zip(records, read, strict=True):
        if isinstance(frame, BadMessage):
            messages.append(_buried(record, "message", str(frame), topics, polled_at))
            continue
        outcome = next(outcomes)
        messages += (
            _results(record, outcome, detector.labels, topics, polled_at)
            if isinstance(outcome, Seen)
            else [_buried(record, outcome.stage, outcome.reason, topics, polled_at)]
        )
    return messages


def _results(record: Record, seen: Seen, labels: Sequence[str], topics: Topics, at: datetime) -> list[Message]:
    """The drawn picture may be smaller than the frame; boxes are in pixels of the frame all the same."""
    try:
        found, jpeg = annotated(seen, labels)
    except BadPicture as error:
        return [_buried(record, "decode", str(error), topics, at)]
    return [detections_message(topics, found), annotated_message(topics, Annotated(found, jpeg))]


def _read(record: Record, polled_at: datetime) -> Frame | BadMessage:
    try:
        frame = frame_of(record.message)
    except BadMessage as error:
        return error
    waited_ms = 1000 * (polled_at - frame.captured_at).total_seconds() - sum(frame.times_ms.values())
    # The clocks of two machines differ: a frame from the future has waited for nothing.
    return replace(frame, times_ms={**frame.times_ms, "queue": round(max(0.0, waited_ms), 3)})


def _buried(record: Record, stage: str, reason: str, topics: Topics, at: datetime) -> Message:
    where = f"{record.message.topic}/{record.partition}/{record.offset}"
    logger.warning("dead letter: %s stage=%s reason=%s", where, stage, reason)
    return dead_letter(topics, record, stage=stage, reason=reason, at=at)
