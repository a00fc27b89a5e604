"""What the embedded bus does beyond the contract: its file, its bounds, its errors."""

import json
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vigie import adapters
from vigie.errors import BadSetting, BusUnavailable
from vigie.ports import Bus, Consumer, Message, Record

PICTURE = bytes(50_000)


def open_bus(path: Path, **options: object) -> Bus:
    bus: Bus = adapters.build("bus", "embedded", {"path": str(path), **options})
    return bus


def read_all(consumer: Consumer) -> list[Record]:
    records: list[Record] = []
    while found := consumer.poll(0.1, 1000):
        records += found
    return records


def complaint(path: Path) -> str:
    with pytest.raises(BusUnavailable) as caught:
        open_bus(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_text("my diary, which is longer than the header of a database, for it has to be read to know\n" * 9)
    before = path.read_bytes()
    assert "no SQLite database" in complaint(path)
    assert path.read_bytes() == before


def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with sqlite3.connect(path) as others:
        others.execute("CREATE TABLE recipes (name TEXT)")
    others.close()
    before = path.read_bytes()
    assert "not a message log" in complaint(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "folder can be written" in complaint(tmp_path / "file" / "log.db")


def test_a_folder_in_the_files_place_is_named(tmp_path: Path) -> None:
    assert "cannot be opened" in complaint(tmp_path)


@pytest.mark.parametrize("options", [{"max_topic_mb": 7}, {"session_timeout_s": 0}, {"max_topic_md": 9}])
def test_options_out_of_range_or_misspelt_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(BadSetting):
        open_bus(tmp_path / "log.db", **options)


def test_a_topic_keeps_its_newest_and_the_file_does_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    bus = open_bus(path, max_topic_mb=8)
    bus.ensure_topics(["frames", "detections"])
    bus.send(Message("detections", "door", b"{}"))
    for _ in range(10):
        for number in range(100):
            bus.send(Message("frames", "door", PICTURE, {"seq": str(number)}))
            if number % 10 == 9:
                bus.flush()
    records = read_all(bus.consumer(["frames"], "readers", member="one"))
    assert [record.offset for record in records] == list(range(1000 - len(records), 1000))
    assert 7_000_000 < sum(len(record.message.value) for record in records) <= 8_000_000
    assert bus.lag("frames", "readers") == len(records)
    assert len(read_all(bus.consumer(["detections"], "readers", member="one"))) == 1
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert size < 40_000_000  # of 50 MB that were sent
    bus.close()
    assert path.stat().st_size < 12_000_000


def test_a_reader_that_is_too_far_behind_goes_on_at_the_oldest_and_says_what_it_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bus = open_bus(tmp_path / "log.db", max_topic_mb=8)
    bus.ensure_topics(["frames"])
    consumer = bus.consumer(["frames"], "readers", member="one")
    bus.send(Message("frames", "door", PICTURE))
    bus.flush()
    (first,) = consumer.poll(1.0, 10)
    for _ in range(400):
        bus.send(Message("frames", "door", PICTURE))
    bus.flush()
    with caplog.at_level(logging.WARNING):
        rest = read_all(consumer)
    assert rest[-1].offset == 400
    lost = rest[0].offset - first.offset - 1
    assert lost > 0
    assert caplog.messages == [f"records={lost} of topic=frames were deleted unread"]
    consumer.close()
    bus.close()


def test_an_idle_consumer_hears_of_a_message_within_moments(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    bus, other = open_bus(path), open_bus(path)
    bus.ensure_topics(["frames"])
    tail = bus.tail(["frames"])

    def send_later() -> None:
        time.sleep(0.5)
        other.send(Message("frames", "door", b"", {"at": str(time.monotonic())}))
        other.flush()

    sender = threading.Thread(target=send_later)
    sender.start()
    (record,) = tail.poll(10.0, 1)
    assert time.monotonic() - float(record.message.headers["at"]) < 0.25
    sender.join()
    tail.close()
    bus.close()
    other.close()


def test_a_slow_member_keeps_its_place(tmp_path: Path) -> None:
    bus = open_bus(tmp_path / "log.db", session_timeout_s=0.4)
    bus.ensure_topics(["frames"])
    bus.send(Message("frames", "door", b""))
    bus.flush()
    slow = bus.consumer(["frames"], "readers", member="slow")
    records = slow.poll(1.0, 10)
    other = bus.consumer(["frames"], "readers", member="other")
    assert other.poll(1.5, 10) == []
    slow.commit(records)
    assert bus.lag("frames", "readers") == 0
    slow.close()
    other.close()
    bus.close()


def test_a_commit_of_a_member_that_was_replaced_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bus = open_bus(tmp_path / "log.db")
    bus.ensure_topics(["frames"])
    bus.send(Message("frames", "door", b""))
    bus.flush()
    old = bus.consumer(["frames"], "readers", member="one")
    records = old.poll(1.0, 10)
    new = bus.consumer(["frames"], "readers", member="one")
    old.commit(records)
    assert "come again" in caplog.text
    assert bus.lag("frames", "readers") == 1
    assert len(new.poll(1.0, 10)) == 1
    old.close()
    new.close()
    bus.close()


# Beyond the limit a write fails as on a full disk.
_FULL = """
import resource, sys
from pathlib import Path
from vigie import adapters
from vigie.errors import BusUnavailable
from vigie.ports import Message
bus = adapters.build("bus", "embedded", {"path": sys.argv[1]})
bus.ensure_topics(["frames"])
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
flushed = 0
try:
    for number in range(1000):
        bus.send(Message("frames", "door", bytes(50_000)))
        bus.flush()
        flushed += 1
except BusUnavailable as error:
    print(flushed, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
bus.send(Message("frames", "yard", b"there is room again"))
bus.flush()
bus.close()
"""


def test_a_full_disk_is_one_clear_error_and_sending_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    done = subprocess.run([sys.executable, "-c", _FULL, str(path)], capture_output=True, text=True, check=True)
    flushed, message = done.stdout.strip().split(" ", 1)
    assert message.startswith(f"{path}: ")
    assert "free some space" in message
    bus = open_bus(path)
    records = read_all(bus.consumer(["frames"], "readers", member="one"))
    assert len(records) == int(flushed) + 1 > 10
    assert records[-1].message.value == b"there is room again"
    bus.close()


_WRITER = """
import json, sys
from vigie import adapters
from vigie.ports import Message
bus = adapters.build("bus", "embedded", {"path": sys.argv[1], "max_topic_mb": 8})
number = int(sys.argv[2])
while True:
    for _ in range(3):
        bus.send(Message("frames", "door", bytes(50_000), {"seq": str(number)}))
        number += 1
    bus.flush()
    print(number, flush=True)
"""


@pytest.mark.chaos
def test_writers_that_are_killed_leave_a_whole_file_with_all_that_they_flushed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    bus = open_bus(path, max_topic_mb=8)
    bus.ensure_topics(["frames"])
    sent = 0
    for _ in range(5):
        command = [sys.executable, "-c", _WRITER, str(path), str(sent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                sent = int(line)
                if sent % 60 >= 57:
                    break
            writer.kill()
            told = writer.stdout.read().split()
            sent = int(told[-1]) if told else sent
        (end,) = bus.end_offsets("frames").values()
        assert sent <= end <= sent + 3  # the last batch may be there without its word
        sent = end
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    file.close()
    seqs = [int(record.message.headers["seq"]) for record in read_all(bus.consumer(["frames"], "g", member="one"))]
    assert seqs == list(range(sent - len(seqs), sent))
    bus.close()


def test_every_thread_whose_messages_were_lost_with_anothers_hears_of_it(tmp_path: Path) -> None:
    bus = open_bus(tmp_path / "log.db")
    bus.ensure_topics(["frames"])
    heard: list[str] = []
    sent, failed = threading.Event(), threading.Event()

    def innocent() -> None:
        bus.send(Message("frames", "door", b""))
        sent.set()
        failed.wait(10)
        try:
            bus.flush()
        except BusUnavailable as error:
            heard.append(str(error))

    thread = threading.Thread(target=innocent)
    thread.start()
    sent.wait(10)
    bus.send(Message("never.made", "door", b""))
    with pytest.raises(BusUnavailable, match=r"never\.made"):
        bus.flush()
    failed.set()
    thread.join()
    assert len(heard) == 1
    assert "send again" in heard[0]
    bus.send(Message("frames", "door", b""))
    bus.flush()
    assert json.dumps(dict(bus.end_offsets("frames"))) == '{"0": 1}'
    bus.close()
