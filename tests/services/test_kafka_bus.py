"""The Kafka bus when its broker dies and comes back."""

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from kafka_server import KafkaServer

from vigie import adapters
from vigie.errors import BadSetting, BusUnavailable
from vigie.loopback import free_port
from vigie.ports import Bus, Consumer, Message, Record

pytestmark = [pytest.mark.services, pytest.mark.chaos]


@pytest.fixture
def topic() -> str:
    return f"test.{uuid.uuid4().hex}"


@pytest.fixture
def server(kafka_server: KafkaServer) -> Iterator[KafkaServer]:
    yield kafka_server
    kafka_server.start()


def open_bus(server: KafkaServer, **options: object) -> Bus:
    bus: Bus = adapters.build(
        "bus", "kafka", {"bootstrap_servers": server.address, "session_timeout_s": 2.0, **options}
    )
    return bus


def read(bus: Bus, topic: str, count: int) -> list[Record]:
    consumer = bus.consumer([topic], f"readers.of.{topic}", member="reader")
    records: list[Record] = []
    give_up_at = time.monotonic() + 30
    while len(records) < count and time.monotonic() < give_up_at:
        records += consumer.poll(0.2, 100)
    consumer.close()
    return records


def poll_until_something(consumer: Consumer) -> list[Record]:
    give_up_at = time.monotonic() + 30
    records: list[Record] = []
    while not records and time.monotonic() < give_up_at:
        records = consumer.poll(0.5, 10)
    return records


def numbers(records: list[Record]) -> list[int]:
    return [int(record.message.value) for record in records]


def test_a_broker_that_is_killed_and_comes_back_loses_nothing_and_doubles_nothing(
    server: KafkaServer, topic: str
) -> None:
    bus = open_bus(server)
    bus.ensure_topics([topic])
    acknowledged: list[int] = []
    stop = threading.Event()

    def keep_sending() -> None:
        while not stop.is_set():
            batch = range(len(acknowledged), len(acknowledged) + 5)
            for number in batch:
                bus.send(Message(topic, "door", str(number).encode()))
            bus.flush()
            acknowledged.extend(batch)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    while len(acknowledged) < 50:
        time.sleep(0.01)
    server.kill()
    at_kill = len(acknowledged)
    time.sleep(1.5)
    server.start()
    give_up_at = time.monotonic() + 30
    while len(acknowledged) < at_kill + 100 and time.monotonic() < give_up_at:
        time.sleep(0.05)
    stop.set()
    sender.join()
    assert len(acknowledged) >= at_kill + 100
    assert numbers(read(bus, topic, len(acknowledged))) == acknowledged
    bus.close()


def test_after_an_outage_longer_than_the_delivery_time_out_the_sender_is_told_and_sending_goes_on(
    server: KafkaServer, topic: str
) -> None:
    bus = open_bus(server, delivery_timeout_s=6.0)
    bus.ensure_topics([topic])
    bus.send(Message(topic, "door", b"0"))
    bus.flush()
    server.kill()
    bus.send(Message(topic, "door", b"1"))
    with pytest.raises(BusUnavailable, match=server.address):
        bus.flush()
    server.start()
    bus.send(Message(topic, "door", b"2"))
    bus.flush()
    assert numbers(read(bus, topic, 2)) == [0, 2]
    bus.close()


def test_a_consumer_tells_that_the_broker_is_away_and_goes_on_when_it_is_back(server: KafkaServer, topic: str) -> None:
    bus = open_bus(server)
    bus.ensure_topics([topic])
    consumer = bus.consumer([topic], f"readers.of.{topic}", member="reader")
    tail = bus.tail([topic])
    consumer.poll(1.0, 10)
    server.kill()
    for reader in (consumer, tail):
        with pytest.raises(BusUnavailable):
            poll_until_something(reader)
    server.start()
    bus.send(Message(topic, "door", b"7"))
    bus.flush()
    for reader in (consumer, tail):
        records: list[Record] = []
        started = time.monotonic()
        while not records and time.monotonic() < started + 30:
            try:
                records = reader.poll(0.5, 10)
            except BusUnavailable:
                continue
        assert numbers(records) == [7]
        reader.commit(records)
    assert bus.lag(topic, f"readers.of.{topic}") == 0
    consumer.close()
    tail.close()
    bus.close()


def test_without_a_broker_one_line_names_the_address_and_what_to_do() -> None:
    address = f"127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(BusUnavailable) as caught:
        adapters.build("bus", "kafka", {"bootstrap_servers": address})
    assert time.monotonic() - started < 8
    message = str(caught.value)
    assert "\n" not in message
    for part in (address, "make kafka", "KAFKA_BOOTSTRAP_SERVERS", "BUS=embedded"):
        assert part in message


def test_an_address_without_a_port_is_refused_before_anything_is_tried() -> None:
    with pytest.raises(BadSetting, match="host:port"):
        adapters.build("bus", "kafka", {"bootstrap_servers": "localhost"})
