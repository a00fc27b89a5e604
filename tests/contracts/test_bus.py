"""What every message bus does, the embedded one and Kafka alike."""

import json
import random
import subprocess
import sys
import threading
import time

import pytest

from vigie.errors import BadMessage, BadSetting, BusUnavailable
from vigie.ports import Bus, Consumer, Message, Record

WAIT_S = 30.0


def read(consumer: Consumer, count: int, *, max_records: int = 100) -> list[Record]:
    """Poll until `count` records are here."""
    records: list[Record] = []
    deadline = time.monotonic() + WAIT_S
    while len(records) < count and time.monotonic() < deadline:
        records += consumer.poll(0.2, max_records)
    return records


def send_numbers(bus: Bus, topic: str, numbers: range, key: str = "door") -> None:
    for number in numbers:
        bus.send(Message(topic, key, str(number).encode()))
    bus.flush()


def numbers(records: list[Record]) -> list[int]:
    return [int(record.message.value) for record in records]


def test_messages_of_a_key_come_in_the_order_they_were_sent(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    keys = ["door", "yard", "über/Straße"]
    for number in range(300):
        bus.send(Message(topic, keys[number % 3], str(number).encode()))
    bus.flush()
    consumer = bus.consumer([topic], group, member="one")
    records = read(consumer, 300)
    for place_of_key, key in enumerate(keys):
        of_key = [record for record in records if record.message.key == key]
        assert numbers(of_key) == list(range(place_of_key, 300, 3))
        assert len({record.partition for record in of_key}) == 1
    consumer.close()


def test_a_poll_gives_at_most_what_was_asked_for(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(10))
    consumer = bus.consumer([topic], group, member="one")
    first = read(consumer, 1, max_records=3)
    assert len(first) <= 3
    assert numbers(first + read(consumer, 10 - len(first), max_records=3)) == list(range(10))
    consumer.close()


@pytest.mark.parametrize("size", [0, 1, 50_000, 1_048_576, 3_900_000])
def test_bytes_key_and_headers_arrive_as_they_were_sent(place, topic, size, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    value = random.Random(size).randbytes(size)
    headers = {"ce_id": "a" * 32, "ce_source": "/cameras/über Straße", "empty": "", "times": '{"decode": 1.5}'}
    message = Message(topic, "door", value, headers)
    bus.send(message)
    bus.flush()
    consumer = bus.consumer([topic], group, member="one")
    (record,) = read(consumer, 1)
    assert (record.message.topic, record.message.key, record.message.value) == (topic, "door", value)
    assert dict(record.message.headers) == headers
    consumer.close()


def test_a_group_goes_on_behind_what_it_committed_and_the_rest_comes_again(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(10))
    consumer = bus.consumer([topic], group, member="one")
    records = read(consumer, 10)
    consumer.commit(records[:4])
    consumer.close()
    bus.close()
    again = place.open().consumer([topic], group, member="one")
    assert numbers(read(again, 6)) == [4, 5, 6, 7, 8, 9]
    again.close()


def test_an_older_commit_does_not_take_back_a_newer_one(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(6))
    consumer = bus.consumer([topic], group, member="one")
    records = read(consumer, 6)
    consumer.commit(list(reversed(records[:5])))
    assert bus.lag(topic, group) == 1
    consumer.close()


def test_a_new_group_starts_at_the_oldest_record_and_groups_do_not_disturb_each_other(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(5))
    workers = bus.consumer([topic], f"{group}.workers", member="one")
    workers.commit(read(workers, 5))
    recorders = bus.consumer([topic], f"{group}.recorders", member="one")
    assert numbers(read(recorders, 5)) == [0, 1, 2, 3, 4]
    assert workers.poll(0.3, 10) == []
    workers.close()
    recorders.close()


def test_a_member_that_comes_again_under_its_name_takes_over_at_once(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(4))
    first = bus.consumer([topic], group, member="worker-0")
    assert numbers(read(first, 4)) == [0, 1, 2, 3]
    second = bus.consumer([topic], group, member="worker-0")
    assert numbers(read(second, 4)) == [0, 1, 2, 3]
    with pytest.raises(BusUnavailable, match="worker-0"):
        read(first, 1)
    first.close()
    second.close()


def test_two_members_of_a_group_never_hold_the_same_record(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    one = bus.consumer([topic], group, member="one")
    one.poll(1.0, 10)
    two = bus.consumer([topic], group, member="two")
    seen: dict[str, list[int]] = {"one": [], "two": []}
    stop = threading.Event()

    def follow(name: str, consumer: Consumer) -> None:
        while not stop.is_set():
            records = consumer.poll(0.2, 5)
            seen[name] += numbers(records)
            consumer.commit(records)

    threads = [threading.Thread(target=follow, args=entry) for entry in (("one", one), ("two", two))]
    for thread in threads:
        thread.start()
    time.sleep(2.0)  # the group has settled on who reads what
    for number in range(60):
        bus.send(Message(topic, f"camera-{number % 7}", str(number).encode()))
        bus.flush()
    deadline = time.monotonic() + WAIT_S
    while len(seen["one"]) + len(seen["two"]) < 60 and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(seen["one"] + seen["two"]) == list(range(60))
    one.close()
    two.close()


def test_another_member_takes_over_after_a_close(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(6))
    one = bus.consumer([topic], group, member="one")
    one.commit(read(one, 6)[:2])
    one.close()
    two = bus.consumer([topic], group, member="two")
    assert numbers(read(two, 4)) == [2, 3, 4, 5]
    two.close()


_MEMBER = """
import json, sys, time
from vigie import adapters
adapter, options, topic, group = json.loads(sys.argv[1])
consumer = adapters.build("bus", adapter, options).consumer([topic], group, member="one")
while not (records := consumer.poll(1.0, 10)):
    pass
print("holding", flush=True)
while True:
    consumer.poll(1.0, 10)
    time.sleep(0.1)
"""


def test_the_place_of_a_member_that_was_killed_is_taken_after_a_time_out(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(3))
    arguments = json.dumps([place.adapter, place.options, topic, group])
    with subprocess.Popen([sys.executable, "-c", _MEMBER, arguments], stdout=subprocess.PIPE, text=True) as member:
        try:
            assert member.stdout is not None
            assert member.stdout.readline() == "holding\n"
        finally:
            member.kill()
    two = bus.consumer([topic], group, member="two")
    assert numbers(read(two, 3)) == [0, 1, 2]
    two.close()


def test_a_tail_sees_what_comes_from_now_on_and_commits_nothing(place, topic) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(3))
    tail = bus.tail([topic])
    assert tail.poll(0.2, 10) == []
    send_numbers(bus, topic, range(3, 5))
    records = read(tail, 2)
    tail.commit(records)
    assert numbers(records) == [3, 4]
    tail.close()


def test_a_tail_of_a_topic_that_nobody_made_yet_misses_nothing(place, topic) -> None:
    tail = place.open().tail([topic])
    sender = place.open()
    sender.ensure_topics([topic])
    send_numbers(sender, topic, range(2))
    assert numbers(read(tail, 2)) == [0, 1]
    tail.close()


def test_one_consumer_reads_several_topics_and_none_of_them_starves(place, topic, group) -> None:
    bus = place.open()
    topics = [f"{topic}.a", f"{topic}.b"]
    bus.ensure_topics(topics)
    for name in topics:
        send_numbers(bus, name, range(20))
    consumer = bus.consumer(topics, group, member="one")
    records = read(consumer, 40, max_records=7)
    for name in topics:
        assert numbers([record for record in records if record.message.topic == name]) == list(range(20))
    consumer.close()


def test_lag_and_end_offsets_count_records(place, topic, group) -> None:
    bus = place.open()
    assert bus.end_offsets(topic) == {}
    assert bus.lag(topic, group) == 0
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(10))
    assert sum(bus.end_offsets(topic).values()) == 10
    assert bus.lag(topic, group) == 10
    consumer = bus.consumer([topic], group, member="one")
    records = read(consumer, 10)
    assert bus.lag(topic, group) == 10
    consumer.commit(records[:7])
    assert bus.lag(topic, group) == 3
    consumer.commit(records)
    assert bus.lag(topic, group) == 0
    consumer.close()


def test_topics_may_be_ensured_again_and_by_several_at_once(place, topic) -> None:
    topics = [topic, f"{topic}.second"]
    buses = [place.open() for _ in range(3)]
    threads = [threading.Thread(target=bus.ensure_topics, args=(topics,)) for bus in buses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send_numbers(buses[0], topic, range(2))
    buses[1].ensure_topics(topics)
    assert sum(buses[2].end_offsets(topic).values()) == 2


_SENDER = """
import json, os, signal, sys
from vigie import adapters
from vigie.ports import Message
adapter, options, topic = json.loads(sys.argv[1])
bus = adapters.build("bus", adapter, options)
for number in range(200):
    bus.send(Message(topic, "door", str(number).encode()))
bus.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_flush_acknowledged_outlives_a_killed_sender(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    arguments = json.dumps([place.adapter, place.options, topic])
    done = subprocess.run([sys.executable, "-c", _SENDER, arguments], check=False, timeout=60)
    assert done.returncode == -9
    consumer = bus.consumer([topic], group, member="one")
    assert numbers(read(consumer, 200)) == list(range(200))
    consumer.close()


def test_a_poll_without_news_returns_nothing_when_its_time_is_up(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    consumer = bus.consumer([topic], group, member="one")
    consumer.poll(1.0, 10)  # joining the group is done
    started = time.monotonic()
    assert consumer.poll(0.5, 10) == []
    assert 0.4 < time.monotonic() - started < 2.0
    consumer.close()


def test_several_threads_send_through_one_bus(place, topic, group) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    threads = [
        threading.Thread(target=send_numbers, args=(bus, topic, range(50), f"camera-{number}")) for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    consumer = bus.consumer([topic], group, member="one")
    records = read(consumer, 200)
    for number in range(4):
        of_camera = [record for record in records if record.message.key == f"camera-{number}"]
        assert numbers(of_camera) == list(range(50))
    consumer.close()


@pytest.mark.parametrize("name", ["input/images", "", "..", "été", "a" * 250, "a b"])
def test_an_illegal_topic_name_is_refused_wherever_it_is_given(place, name, group) -> None:
    bus = place.open()
    for use in (
        lambda: bus.ensure_topics([name]),
        lambda: bus.send(Message(name, "door", b"")),
        lambda: bus.consumer([name], group, member="one"),
        lambda: bus.tail([name]),
        lambda: bus.end_offsets(name),
        lambda: bus.lag(name, group),
    ):
        with pytest.raises(BadSetting, match="no name for a topic"):
            use()


def test_a_message_over_the_limit_is_refused_and_the_others_go_on(place, topic) -> None:
    bus = place.open()
    bus.ensure_topics([topic])
    with pytest.raises(BadMessage, match="4000000"):
        bus.send(Message(topic, "door", b"\0" * 4_000_000))
    send_numbers(bus, topic, range(1))
    assert sum(bus.end_offsets(topic).values()) == 1


def test_a_message_for_a_topic_that_nobody_made_is_an_error_by_the_time_of_the_flush(place, topic) -> None:
    bus = place.open()

    def send_and_flush() -> None:
        bus.send(Message(topic, "door", b"lost?"))
        bus.flush()

    with pytest.raises(BusUnavailable, match=topic):
        send_and_flush()
    bus.ensure_topics([topic])
    send_numbers(bus, topic, range(1))
    assert sum(bus.end_offsets(topic).values()) == 1
