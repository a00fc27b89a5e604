"""Durable messages in and out: our buses beside plain kafka-python on the same broker."""

import os
import tempfile
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from timing import alternated, table

from vigie import adapters
from vigie.errors import Unavailable
from vigie.loopback import free_port
from vigie.ports import Bus, Message
from vigie.settings import load_settings
from vigie.streaming.broker import start_broker, stop_broker

MESSAGES = 300
SIZE_BYTES = 50_000
ROUNDS = 5
TOPIC = "bench"


def through(bus: Bus) -> None:
    """Send all, flush, read all back."""
    tail = bus.tail([TOPIC])
    for number in range(MESSAGES):
        bus.send(Message(TOPIC, f"camera{number % 4}", PAYLOAD, {"seq": str(number)}))
    bus.flush()
    left = MESSAGES
    while left:
        left -= len(tail.poll(1.0, 64))
    tail.close()


def plain(producer: KafkaProducer, address: str) -> None:
    consumer = KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)
    consumer.assign([TopicPartition(TOPIC, number) for number in consumer.partitions_for_topic(TOPIC)])
    consumer.seek_to_end()
    for partition in consumer.assignment():
        consumer.position(partition)
    for number in range(MESSAGES):
        producer.send(TOPIC, key=f"camera{number % 4}".encode(), value=PAYLOAD)
    producer.flush()
    left = MESSAGES
    while left:
        left -= sum(len(records) for records in consumer.poll(1000, max_records=64).values())
    consumer.close()


PAYLOAD = os.urandom(SIZE_BYTES)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        embedded: Bus = adapters.build("bus", "embedded", {"path": Path(folder) / "log.db"})
        embedded.ensure_topics([TOPIC])
        sides = {"vigie, embedded": lambda: through(embedded)}
        title = f"{MESSAGES} messages of {SIZE_BYTES // 1000} KB, acknowledged and read back"
        try:
            address = start_broker(
                Path(folder) / "kafka", port=free_port(), jars=load_settings().runs / "kafka" / "libs"
            )
        except Unavailable as error:
            print(f"without Kafka: {error}")
            print(table(title, alternated(sides, ROUNDS), MESSAGES, "messages", "vigie, embedded"))
            return
        try:
            kafka: Bus = adapters.build("bus", "kafka", {"bootstrap_servers": address})
            kafka.ensure_topics([TOPIC])
            producer = KafkaProducer(bootstrap_servers=address, linger_ms=5, batch_size=1_000_000)
            sides |= {"vigie, Kafka": lambda: through(kafka), "plain kafka-python": lambda: plain(producer, address)}
            print(table(title, alternated(sides, ROUNDS), MESSAGES, "messages", "plain kafka-python"))
            producer.close()
            kafka.close()
        finally:
            stop_broker(Path(folder) / "kafka")


if __name__ == "__main__":
    main()
