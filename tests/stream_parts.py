"""Small real parts for the tests of the live side: a detector that needs no model, a bus that goes away at will."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import numpy as np

from vigie.domain import Box, Detection
from vigie.errors import BadPicture, BusUnavailable
from vigie.pictures import Picture, encode_jpeg
from vigie.ports import Bus, Capture, Consumer, Message, Record
from vigie.streaming.buses.embedded import EmbeddedBus, Options
from vigie.streaming.messages import Topics
from vigie.streaming.worker import Worked, work

TOPICS = Topics("test.")


class BrightHalf:
    """Finds the brighter half of a picture, left or right; fails on a picture that is black all over."""

    labels = ("left", "right")

    def __init__(self) -> None:
        self.batches: list[int] = []

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        self.batches.append(len(pictures))
        return [self._one(picture) for picture in pictures]

    def _one(self, picture: Picture) -> list[Detection] | BadPicture:
        grey = picture.rgb().mean(axis=2)
        if grey.max() < 8:
            raise ZeroDivisionError("nothing but black")
        middle = picture.width // 2
        left, right = float(grey[:, :middle].mean()), float(grey[:, middle:].mean())
        if left > right:
            return [Detection("left", left / 255, Box(0, 0, middle, picture.height))]
        return [Detection("right", right / 255, Box(middle, 0, picture.width, picture.height))]


def half(label: str, *, seed: int = 0, width: int = 64, height: int = 48) -> bytes:
    """A JPEG with the half that `BrightHalf` finds."""
    rgb = np.random.default_rng(seed).integers(0, 40, (height, width, 3), dtype=np.uint8)
    middle = width // 2
    bright = rgb[:, :middle] if label == "left" else rgb[:, middle:]
    bright += 200
    return encode_jpeg(rgb)


BLACK = encode_jpeg(np.zeros((48, 64, 3), dtype=np.uint8))


class Pictures:
    """A source of given bytes."""

    def __init__(self, encoded: Sequence[bytes], *, finite: bool = True) -> None:
        self._encoded = list(encoded)
        self.closed = False
        self.epoch = "pictures"
        self.length = len(self._encoded) if finite else None

    def captures(self) -> Iterator[Capture]:
        for seq, encoded in enumerate(self._encoded):
            yield Capture(seq, datetime.now(UTC), encoded)

    def close(self) -> None:
        self.closed = True


class AwayBus:
    """A bus that fails as long as `away` is set, or as often as `failures` says, and loses what it was handed then."""

    def __init__(self, bus: Bus) -> None:
        self.real = bus
        self.away = Event()
        self.failures = 0
        self.failed = 0

    def _check(self) -> None:
        if self.away.is_set() or self.failures > 0:
            self.failures -= 1
            self.failed += 1
            raise BusUnavailable("the test has pulled the plug")

    def ensure_topics(self, topics: Sequence[str]) -> None:
        self._check()
        self.real.ensure_topics(topics)

    def send(self, message: Message) -> None:
        self.real.send(message)

    def flush(self) -> None:
        self._check()
        self.real.flush()

    def consumer(self, topics: Sequence[str], group: str, *, member: str) -> Consumer:
        return _AwayConsumer(self.real.consumer(topics, group, member=member), self._check)

    def tail(self, topics: Sequence[str]) -> Consumer:
        return self.real.tail(topics)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        return self.real.end_offsets(topic)

    def lag(self, topic: str, group: str) -> int:
        self._check()
        return self.real.lag(topic, group)

    def close(self) -> None:
        self.real.close()


class _AwayConsumer:
    def __init__(self, consumer: Consumer, check: Callable[[], None]) -> None:
        self._consumer = consumer
        self._check = check

    def poll(self, timeout_s: float, max_records: int) -> list[Record]:
        self._check()
        return self._consumer.poll(timeout_s, max_records)

    def commit(self, records: Sequence[Record]) -> None:
        self._check()
        self._consumer.commit(records)

    def close(self) -> None:
        self._consumer.close()


def embedded(folder: Path) -> EmbeddedBus:
    return EmbeddedBus(Options(folder / "bus.db"))


def all_of(bus: Bus, topic: str) -> list[Message]:
    """Every message of a topic, read by a group of its own."""
    end = sum(bus.end_offsets(topic).values())
    consumer = bus.consumer([topic], f"reader-of-{topic}", member="test")
    messages: list[Message] = []
    while len(messages) < end:
        records = consumer.poll(2, 1000)
        assert records, f"{topic}: {len(messages)} of {end} came"
        messages += [record.message for record in records]
    consumer.close()
    return messages


@contextmanager
def working(bus: Bus, detector: BrightHalf, *, batch: int = 4) -> Iterator[Event]:
    """A worker in a thread; setting the event ends it."""
    stop = Event()
    done: list[Worked] = []

    def run() -> None:
        done.append(
            work(bus, detector, topics=TOPICS, model="m/1", member="w", stop=stop, batch=batch, poll_timeout_s=0.05)
        )

    thread = Thread(target=run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
        assert done, "the worker has failed"
