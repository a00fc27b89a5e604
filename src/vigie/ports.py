"""What the stages ask of the outside, one small Protocol each. The docstring is the contract.

Adapters do not inherit; they are files found by name (see `vigie.adapters`), and `tests/contracts` runs
every adapter of a port through the same tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from vigie.domain import Detection
from vigie.errors import BadPicture
from vigie.pictures import Picture


class Detector(Protocol):
    """A model that runs. Not shared between threads; built where it is used."""

    @property
    def labels(self) -> Sequence[str]:
        """Every label that a detection can carry, in the model's order."""

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        """One entry a picture, in order: its detections, best first, boxes in pixels of the original.

        A picture that cannot be decoded is an entry, not an exception, and leaves the others unharmed.
        """


@dataclass(frozen=True, slots=True)
class Capture:
    """One picture as a source gives it; `seq` counts from 0; `encoded` is JPEG, or bytes that are no picture."""

    seq: int
    captured_at: datetime
    encoded: bytes


class FrameSource(Protocol):
    """A camera, or what stands for one."""

    @property
    def epoch(self) -> str:
        """Tells two runs apart whose `seq` starts again.

        A source that repeats itself exactly (a file) keeps its epoch, so that frames sent again are recognised.
        """

    @property
    def length(self) -> int | None:
        """How many captures there will be, where it is known and finite."""

    def captures(self) -> Iterator[Capture]:
        """Yield captures in order, paced as the options say, until the source ends."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. Messages of one key keep their order."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """What was read: a message and where it stands."""

    message: Message
    partition: int
    offset: int


class Consumer(Protocol):
    """One member of a consumer group."""

    def poll(self, timeout_s: float, max_records: int) -> list[Record]:
        """The next records, at most `max_records`; an empty list when none came within `timeout_s`.

        Raises:
            BusUnavailable: the bus is away for longer than its time-outs allow.
        """

    def commit(self, records: Sequence[Record]) -> None:
        """Everything up to these records is done; the group goes on behind them after a restart.

        What was polled and not committed comes again to the next member of the group.
        """

    def close(self) -> None: ...


class Bus(Protocol):
    """Topics of ordered partitions that outlive their readers. Safe to use from several threads but for `Consumer`s."""

    def ensure_topics(self, topics: Sequence[str]) -> None:
        """Create those that are missing.

        Raises:
            BusUnavailable: the bus cannot be reached.
        """

    def send(self, message: Message) -> None:
        """Hand over a message; it counts as sent once `flush` returned. May block while buffers are full."""

    def flush(self) -> None:
        """Return when everything handed over is acknowledged and durable.

        Raises:
            BusUnavailable: at least one message was not acknowledged; nothing is known of the rest.
        """

    def consumer(self, topics: Sequence[str], group: str, *, member: str) -> Consumer:
        """Join `group` under the stable name `member`; a new group starts at the oldest record."""

    def tail(self, topics: Sequence[str]) -> Consumer:
        """Read what comes from now on, in no group; `commit` does nothing."""

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Partition -> offset that the next record will get."""

    def lag(self, topic: str, group: str) -> int:
        """How many records of `topic` the group has not committed yet."""

    def close(self) -> None:
        """Flush and let go."""
