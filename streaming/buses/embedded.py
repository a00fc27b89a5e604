"""The bus that needs no server: a durable log in one SQLite file, for the processes of one machine.

A topic has one partition, read by one active member of each group; further members stand by.
"""

import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vigie.errors import BadSetting, BusUnavailable
from vigie.ports import Consumer, Message, Record
from vigie.streaming.buses import MAX_MESSAGE_BYTES, Failures, check_topic, size_of
from vigie.streaming.logfile import PARTITION, LogFile

log = logging.getLogger(__name__)

BUFFER_BYTES = 4_000_000  # what `send` gathers before it writes by itself: the sender waits, nothing is dropped
MAX_PAUSE_S = 0.01
RECLAIM_S = 0.5
MAX_POLL_INTERVAL_S = 300.0  # who has not polled for so long hangs, and loses its place


@dataclass(frozen=True, slots=True)
class Options:
    """`max_topic_mb` is kept of each topic (10^6 bytes); a reader that is further behind loses the oldest records.

    `session_timeout_s` after its last sign of life a member that died is replaced by one of another name.
    """

    path: Path
    max_topic_mb: int = 512
    session_timeout_s: float = 6.0

    def __post_init__(self) -> None:
        # Below two of the largest messages, what has just been written could be deleted at once.
        if self.max_topic_mb * 1_000_000 < 2 * MAX_MESSAGE_BYTES or self.session_timeout_s <= 0:
            raise BadSetting(f"bus embedded: max_topic_mb is at least 8 and session_timeout_s above 0, got {self}")


def build(options: Options) -> "EmbeddedBus":
    return EmbeddedBus(options)


class EmbeddedBus:
    """See `vigie.ports.Bus`. What a failed `flush` held is given up: send it again."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._log = LogFile(options.path)
        self._waiting: list[tuple[Message, int]] = []
        self._waiting_bytes = 0
        self._failures = Failures()

    def ensure_topics(self, topics: Sequence[str]) -> None:
        for name in topics:
            check_topic(name)
        with self._lock:
            self._log.ensure_topics(topics)

    def send(self, message: Message) -> None:
        size = size_of(message)
        with self._lock:
            self._failures.sending()
            self._waiting.append((message, size))
            self._waiting_bytes += size
            if self._waiting_bytes >= BUFFER_BYTES:
                self._write()

    def flush(self) -> None:
        with self._lock:
            try:
                self._write()
            finally:
                earlier = self._failures.since_flush()
            if earlier is not None:
                raise BusUnavailable(f"an earlier write failed, send again: {earlier}") from earlier

    def _write(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not waiting:
            return
        try:
            self._log.append(waiting, self._options.max_topic_mb * 1_000_000)
        except BusUnavailable as error:
            self._failures.add(error)
            raise

    def consumer(self, topics: Sequence[str], group: str, *, member: str) -> Consumer:
        self.ensure_topics(topics)
        place = _Place(self._options, topics, group, member)
        return _EmbeddedConsumer(self._options.path, {}, place)

    def tail(self, topics: Sequence[str]) -> Consumer:
        self.ensure_topics(topics)
        return _EmbeddedConsumer(self._options.path, {name: self.end_offsets(name)[PARTITION] for name in topics}, None)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Empty where there is no such topic."""
        check_topic(topic)
        with self._lock:
            bounds = self._log.bounds(topic)
        return {PARTITION: bounds[1]} if bounds else {}

    def lag(self, topic: str, group: str) -> int:
        check_topic(topic)
        with self._lock:
            first, end = self._log.bounds(topic) or (0, 0)
            return end - max(first, self._log.committed(group, topic) or 0)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._log.close()


class _Place:
    """A member's place in its group: a lease on each topic, kept alive by a thread while the member goes on polling."""

    def __init__(self, options: Options, topics: Sequence[str], group: str, member: str) -> None:
        self.group = group
        self._topics = tuple(topics)
        self._member = member
        self._session = uuid.uuid4().hex
        self._lease_s = options.session_timeout_s
        self._log = LogFile(options.path)
        self._log.claim(group, self._topics, member, self._session, self._lease_s)
        self._polled_at = time.monotonic()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._keep, args=(options.path,), name=f"lease-{member}", daemon=True)
        self._thread.start()

    def held(self) -> list[str]:
        """The topics that are ours to read now.

        Raises:
            BusUnavailable: another process has joined under our name.
        """
        self._polled_at = time.monotonic()
        leases = self._log.leases(self.group)
        if any(topic not in leases or leases[topic].until < time.time() for topic in self._topics):
            self._log.claim(self.group, self._topics, self._member, self._session, self._lease_s)
            leases = self._log.leases(self.group)
        known = {topic: leases[topic] for topic in self._topics if topic in leases}
        if any(lease.member == self._member and lease.session != self._session for lease in known.values()):
            raise BusUnavailable(f"another {self._member!r} has joined the group {self.group!r} and taken this place")
        return [topic for topic, lease in known.items() if lease.session == self._session]

    def commit(self, offsets: Mapping[str, int]) -> None:
        lost = self._log.commit(self.group, self._session, offsets)
        if lost:
            log.warning("commit came too late, the records come again: group=%s topics=%s", self.group, ",".join(lost))

    def leave(self) -> None:
        self._left.set()
        self._thread.join()
        try:
            self._log.release(self._session)
        finally:
            self._log.close()

    def _keep(self, path: Path) -> None:
        lease_log = LogFile(path)
        while not self._left.wait(self._lease_s / 4):
            if time.monotonic() - self._polled_at > MAX_POLL_INTERVAL_S:
                continue
            try:
                lease_log.renew(self._session, self._lease_s)
            except BusUnavailable as error:
                log.warning("the lease was not renewed: member=%s %s", self._member, error)
        lease_log.close()


class _EmbeddedConsumer:
    """See `vigie.ports.Consumer`; without a place it is a tail."""

    def __init__(self, path: Path, positions: dict[str, int], place: _Place | None) -> None:
        self._log = LogFile(path)
        self._positions = positions
        self._place = place

    def poll(self, timeout_s: float, max_records: int) -> list[Record]:
        deadline = time.monotonic() + timeout_s
        look_at = 0.0
        pause_s = 0.001
        while True:
            # Asked before reading, so that what is written meanwhile shows as a change next time.
            if self._log.changed() or time.monotonic() >= look_at:
                records = self._read(max_records)
                if records:
                    return records
                look_at = time.monotonic() + RECLAIM_S
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return []
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, MAX_PAUSE_S)

    def commit(self, records: Sequence[Record]) -> None:
        if self._place is None or not records:
            return
        offsets: dict[str, int] = {}
        for record in records:
            topic = record.message.topic
            offsets[topic] = max(offsets.get(topic, 0), record.offset + 1)
        self._place.commit(offsets)

    def close(self) -> None:
        self._log.close()
        if self._place is not None:
            place, self._place = self._place, None
            place.leave()

    def _read(self, max_records: int) -> list[Record]:
        if self._place is not None:
            self._follow(self._place)
        records: list[Record] = []
        for topic in list(self._positions):
            if len(records) == max_records:
                break
            records += self._next(topic, max_records - len(records))
            # The one that was read goes to the end, so that a busy topic does not starve the others.
            self._positions[topic] = self._positions.pop(topic)
        return records

    def _follow(self, place: _Place) -> None:
        """Read on from what the group committed in topics that have become ours; forget those that no longer are."""
        held = place.held()
        kept = {topic: offset for topic, offset in self._positions.items() if topic in held}
        self._positions = kept | {topic: self._start(place.group, topic) for topic in held if topic not in kept}

    def _start(self, group: str, topic: str) -> int:
        committed = self._log.committed(group, topic)
        if committed is not None:
            return committed
        bounds = self._log.bounds(topic)
        return bounds[0] if bounds else 0

    def _next(self, topic: str, limit: int) -> list[Record]:
        position = self._positions[topic]
        records = self._log.read(topic, position, limit)
        if records:
            if records[0].offset > position:
                log.warning("records=%d of topic=%s were deleted unread", records[0].offset - position, topic)
            self._positions[topic] = records[-1].offset + 1
        return records
