"""Apache Kafka through kafka-python: durable, shared by many machines, as many workers a group as partitions.

A key always lands on the same partition, so the frames of a camera keep their order.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import crc32c  # noqa: F401 - kafka-python is twelve times slower where it is missing, and would not say so
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    TopicAlreadyExistsError,
    UnknownMemberIdError,
    for_code,
)
from kafka.structs import OffsetAndMetadata

from vigie.errors import BadSetting, BusUnavailable
from vigie.ports import Consumer, Message, Record
from vigie.streaming.buses import KAFKA_MESSAGE_BYTES, Failures, check_topic, size_of

log = logging.getLogger(__name__)

BUFFER_BYTES = 32_000_000  # sent and not yet acknowledged: above it the sender waits, nothing is dropped
REQUEST_TIMEOUT_S = 5.0
COMMIT_TIMEOUT_S = 10.0
CHECK_S = 2.0  # how often a consumer asks what the library's poll does not tell
_TAKEN_FROM_US = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


@dataclass(frozen=True, slots=True)
class Options:
    """`partitions` and `max_topic_mb` (10^6 bytes kept; older records go) hold for topics that are made here.

    A message that was not acknowledged within `delivery_timeout_s` has failed. `session_timeout_s` after its last
    sign of life a member is replaced by one of another name; most brokers refuse less than 6.
    """

    bootstrap_servers: str = "127.0.0.1:9092"
    partitions: int = 4
    max_topic_mb: int = 2048
    start_timeout_s: float = 5.0
    delivery_timeout_s: float = 60.0
    session_timeout_s: float = 6.0

    def __post_init__(self) -> None:
        for server in self.bootstrap_servers.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdecimal():
                raise BadSetting(f"bus kafka: bootstrap_servers is host:port,host:port; found {server.strip()!r}")


def build(options: Options) -> "KafkaBus":
    """
    Raises:
        BusUnavailable: no broker answers.
    """
    # The library tells of every attempt to connect; what comes of them is told here.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return KafkaBus(options)


class KafkaBus:
    """See `vigie.ports.Bus`. What a failed `flush` held is given up: send it again."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._admin_lock = threading.Lock()
        self._producer_lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._failures = Failures()
        self._unacknowledged = 0
        self._unacknowledged_lock = threading.Lock()
        with self._explained():
            self._admin = KafkaAdminClient(**self._client())

    def ensure_topics(self, topics: Sequence[str]) -> None:
        for name in topics:
            check_topic(name)
        with self._explained():
            known = set(self._ask(lambda admin: admin.list_topics()))
            missing = [name for name in topics if name not in known]
            if missing:
                self._create(missing)

    def _create(self, names: Sequence[str]) -> None:
        partitions = self._options.partitions
        kept_bytes = self._options.max_topic_mb * 1_000_000 // partitions
        configs = {
            "max.message.bytes": str(KAFKA_MESSAGE_BYTES),
            "retention.bytes": str(kept_bytes),
            "segment.bytes": str(max(2 * KAFKA_MESSAGE_BYTES, kept_bytes // 8)),  # only whole segments are deleted
        }
        wanted = {name: {"num_partitions": partitions, "configs": configs} for name in names}
        answer = self._ask(lambda admin: admin.create_topics(wanted, raise_errors=False))
        for topic in answer["topics"]:
            error = for_code(topic["error_code"])
            if topic["error_code"] and error is not TopicAlreadyExistsError:
                reason = topic.get("error_message") or error.__name__
                raise BusUnavailable(f"{self._where}: the topic {topic['name']!r} cannot be made: {reason}")
        self._ask(lambda admin: admin.wait_for_topics(list(names)))

    def send(self, message: Message) -> None:
        size = size_of(message)
        headers = [(name, text.encode()) for name, text in message.headers.items()]
        producer = self._producing()
        self._failures.sending()
        try:
            with self._explained():
                if self._unacknowledged + size > BUFFER_BYTES:
                    producer.flush(self._flush_timeout_s)
                future = producer.send(message.topic, message.value, message.key.encode(), headers)
        except BusUnavailable as error:
            raise BusUnavailable(f"topic {message.topic!r}: {error}") from error
        self._count(size)
        future.add_both(lambda _: self._count(-size))
        future.add_errback(self._failures.add)

    def flush(self) -> None:
        try:
            if self._producer is not None:
                with self._explained():
                    self._producer.flush(self._flush_timeout_s)
        finally:
            failed = self._failures.since_flush()
        if failed is not None:
            raise BusUnavailable(f"{self._where}: messages were not acknowledged, send again: {_name(failed)}")

    def consumer(self, topics: Sequence[str], group: str, *, member: str) -> Consumer:
        self.ensure_topics(topics)
        with self._explained():
            client = KafkaConsumer(
                **self._reading(),
                group_id=group,
                group_instance_id=member,
                auto_offset_reset="earliest",
                session_timeout_ms=round(self._options.session_timeout_s * 1000),
                heartbeat_interval_ms=round(self._options.session_timeout_s * 1000 / 4),
            )
            client.subscribe(list(topics))
            # A group's leader that joins before it knows the topics hands out nothing and may then hang for good.
            for name in topics:
                client.partitions_for_topic(name)
        return _KafkaConsumer(client, self._where, _Place(client, group, member, self._members))

    def tail(self, topics: Sequence[str]) -> Consumer:
        self.ensure_topics(topics)
        with self._explained():
            client = KafkaConsumer(**self._reading(), auto_offset_reset="latest")
            partitions = [TopicPartition(name, number) for name in topics for number in self._partitions(name)]
            client.assign(partitions)
            for partition, offset in client.end_offsets(partitions).items():
                client.seek(partition, offset)
        return _KafkaConsumer(client, self._where, None)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Empty where there is no such topic."""
        check_topic(topic)
        with self._explained():
            partitions = self._partitions(topic)
            return self._offsets(topic, partitions, OffsetSpec.LATEST)

    def lag(self, topic: str, group: str) -> int:
        check_topic(topic)
        with self._explained():
            partitions = self._partitions(topic)
            if not partitions:
                return 0
            wanted = [TopicPartition(topic, number) for number in partitions]
            found = self._ask(lambda admin: admin.list_group_offsets({group: wanted})).get(group, {})
            # Before the ends, so that what is committed meanwhile does not make the lag negative.
            committed = {place.partition: known.offset for place, known in found.items() if known.offset >= 0}
            first = self._offsets(topic, partitions, OffsetSpec.EARLIEST)
            end = self._offsets(topic, partitions, OffsetSpec.LATEST)
        return sum(end[number] - max(first[number], committed.get(number, 0)) for number in partitions)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            if self._producer is not None:
                with contextlib.suppress(KafkaError):  # what was not acknowledged has been told by the flush
                    self._producer.close(REQUEST_TIMEOUT_S)
            with self._admin_lock, contextlib.suppress(KafkaError):
                self._admin.close()

    def _ask(self, question: Callable[[KafkaAdminClient], Any]) -> Any:
        """The library's admin client fails at once while it connects anew: try for as long as at the start."""
        give_up_at = time.monotonic() + self._options.start_timeout_s
        while True:
            try:
                with self._admin_lock:
                    return question(self._admin)
            except KafkaError as error:
                if not error.retriable or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.1)

    def _members(self, group: str) -> dict[str, str]:
        """Stable name -> the id that the coordinator knows the member by."""
        found = self._ask(lambda admin: admin.describe_groups([group]))[group]
        return {member["group_instance_id"]: member["member_id"] for member in found["members"]}

    def _partitions(self, topic: str) -> list[int]:
        (found,) = self._ask(lambda admin: admin.describe_topics([topic]))
        return sorted(partition["partition_index"] for partition in found["partitions"])

    def _offsets(self, topic: str, partitions: Sequence[int], spec: object) -> dict[int, int]:
        if not partitions:
            return {}
        wanted = {TopicPartition(topic, number): spec for number in partitions}
        found = self._ask(lambda admin: admin.list_partition_offsets(wanted))
        return {place.partition: known.offset for place, known in found.items()}

    def _producing(self) -> KafkaProducer:
        """Made for the first message: who only reads needs no producer."""
        with self._producer_lock:
            if self._producer is None:
                with self._explained():
                    self._producer = KafkaProducer(
                        **self._client(),
                        acks="all",
                        enable_idempotence=True,
                        linger_ms=5,
                        batch_size=1_000_000,
                        max_request_size=KAFKA_MESSAGE_BYTES,
                        delivery_timeout_ms=round(self._options.delivery_timeout_s * 1000),
                        max_block_ms=round(self._options.start_timeout_s * 1000),
                        allow_auto_create_topics=False,
                    )
            return self._producer

    def _client(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": [server.strip() for server in self._options.bootstrap_servers.split(",")],
            "bootstrap_timeout_ms": round(self._options.start_timeout_s * 1000),
            "request_timeout_ms": round(REQUEST_TIMEOUT_S * 1000),
            "reconnect_backoff_max_ms": 500,
        }

    def _reading(self) -> dict[str, Any]:
        return {
            **self._client(),
            "enable_auto_commit": False,
            "max_partition_fetch_bytes": KAFKA_MESSAGE_BYTES,
            "allow_auto_create_topics": False,
        }

    def _count(self, size: int) -> None:
        with self._unacknowledged_lock:
            self._unacknowledged += size

    @property
    def _flush_timeout_s(self) -> float:
        return self._options.delivery_timeout_s + REQUEST_TIMEOUT_S

    @property
    def _where(self) -> str:
        return f"Kafka at {self._options.bootstrap_servers}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            if "Unable to bootstrap" in str(error):
                raise BusUnavailable(
                    f"no Kafka answers at {self._options.bootstrap_servers} within {self._options.start_timeout_s:g} s;"
                    " start one: make kafka, name another: KAFKA_BOOTSTRAP_SERVERS=host:port,"
                    " or do without: BUS=embedded"
                ) from error
            raise BusUnavailable(f"{self._where}: {_name(error)}") from error


class _Place:
    """A member's place in its group. The library goes on reading after another one has taken the name: so ask."""

    def __init__(
        self, client: KafkaConsumer, group: str, member: str, members: Callable[[str], Mapping[str, str]]
    ) -> None:
        self.group = group
        self._client = client
        self._member = member
        self._members = members

    def check(self) -> None:
        before = self._client.group_metadata()
        known = self._members(self.group).get(self._member, before.member_id)
        # Unless we are just joining, which changes our own id.
        if known != before.member_id and self._client.group_metadata() == before:
            raise self.taken()

    def taken(self) -> BusUnavailable:
        return BusUnavailable(f"another {self._member!r} has joined the group {self.group!r} and taken this place")


class _KafkaConsumer:
    """See `vigie.ports.Consumer`; without a place it is a tail."""

    def __init__(self, client: KafkaConsumer, where: str, place: _Place | None) -> None:
        self._client = client
        self._where = where
        self._place = place
        self._committed: dict[TopicPartition, int] = {}
        self._check_at = time.monotonic() + CHECK_S

    def poll(self, timeout_s: float, max_records: int) -> list[Record]:
        with self._explained():
            if time.monotonic() >= self._check_at:
                self._check()
                self._check_at = time.monotonic() + CHECK_S
            batches = self._client.poll(timeout_ms=round(timeout_s * 1000), max_records=max_records)
            return [_record(found) for batch in batches.values() for found in batch]

    def _check(self) -> None:
        """The library's poll says nothing of a broker that is away."""
        if self._place is None:
            self._client.end_offsets(list(self._client.assignment())[:1])
        else:
            self._place.check()

    def commit(self, records: Sequence[Record]) -> None:
        if self._place is None:
            return
        offsets: dict[TopicPartition, int] = {}
        for record in records:
            place = TopicPartition(record.message.topic, record.partition)
            # Never back behind what is committed already.
            after = max(offsets.get(place, 0), record.offset + 1)
            if after > self._committed.get(place, 0):
                offsets[place] = after
        if not offsets:
            return
        with self._explained():
            try:
                self._client.commit(
                    {place: OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()},
                    timeout_ms=round(COMMIT_TIMEOUT_S * 1000),
                )
            except _TAKEN_FROM_US as error:
                log.warning("commit came too late, records come again: group=%s %s", self._place.group, _name(error))
                return
        self._committed |= offsets

    def close(self) -> None:
        with contextlib.suppress(KafkaError):  # nothing is owed to the broker: commits are made by hand
            self._client.close(autocommit=False)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FencedInstanceIdError as error:
            raise (self._place.taken() if self._place else BusUnavailable(_name(error))) from error
        except KafkaError as error:
            raise BusUnavailable(f"{self._where}: {_name(error)}") from error


def _record(found: Any) -> Record:
    headers = {name: (text or b"").decode(errors="replace") for name, text in found.headers}
    key = (found.key or b"").decode(errors="replace")
    return Record(Message(found.topic, key, found.value or b"", headers), found.partition, found.offset)


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
