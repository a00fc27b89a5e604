"""What a source gives stands on the bus when ingest returns, whatever the bus did meanwhile."""

import logging
import time
from pathlib import Path
from threading import Event, Thread, Timer

import pytest
from stream_parts import TOPICS, AwayBus, BrightHalf, Pictures, all_of, embedded, half, working

from vigie import adapters
from vigie.domain import frame_id
from vigie.errors import BadSetting, BusUnavailable
from vigie.ports import FrameSource
from vigie.streaming import outage
from vigie.streaming.detection import MAX_JPEG_BYTES
from vigie.streaming.ingest import Ingested, ingest
from vigie.streaming.messages import frame_of

PICTURES = [half("left", seed=seed) for seed in range(40)]


def sent(source: FrameSource, bus: AwayBus, *, stop: Event | None = None, max_lag: int = 500) -> Ingested:
    return ingest(source, camera="door", bus=bus, topics=TOPICS, stop=stop or Event(), max_lag=max_lag)


@pytest.fixture
def bus(tmp_path: Path) -> AwayBus:
    return AwayBus(embedded(tmp_path))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_S", 0.02)


def test_every_capture_becomes_a_frame_in_order(bus: AwayBus) -> None:
    source = Pictures(PICTURES)
    assert sent(source, bus) == Ingested(frames=40, too_large=0)
    assert source.closed
    frames = [frame_of(message) for message in all_of(bus, TOPICS.frames)]
    assert [frame.jpeg for frame in frames] == PICTURES
    assert [frame.seq for frame in frames] == list(range(40))
    first = frames[0]
    assert first.id == frame_id("door", "pictures", 0, PICTURES[0])
    assert (first.camera, first.width, first.height) == ("door", 64, 48)
    assert first.times_ms["capture"] >= 0


def test_bytes_that_are_no_picture_are_frames_too_without_a_size(bus: AwayBus) -> None:
    assert sent(Pictures([b"garbage"]), bus).frames == 1
    frame = frame_of(all_of(bus, TOPICS.frames)[0])
    assert (frame.jpeg, frame.width, frame.height) == (b"garbage", 0, 0)


def test_a_picture_that_is_too_large_to_travel_is_a_dead_letter_without_it(bus: AwayBus) -> None:
    assert sent(Pictures([PICTURES[0], b"x" * (MAX_JPEG_BYTES + 1), PICTURES[1]]), bus) == Ingested(3, too_large=1)
    assert [frame_of(message).seq for message in all_of(bus, TOPICS.frames)] == [0, 2]
    (letter,) = all_of(bus, TOPICS.dead_letters)
    assert letter.value == b""
    assert letter.headers["seq"] == "1"
    assert letter.headers["dead_letter_stage"] == "ingest"
    assert "over the limit" in letter.headers["dead_letter_reason"]


def test_a_bus_that_goes_away_loses_no_frame(bus: AwayBus, caplog: pytest.LogCaptureFixture) -> None:
    class GoesAway(Pictures):
        def captures(self):  # type: ignore[no-untyped-def]
            for capture in super().captures():
                if capture.seq == 20:
                    bus.failures = 3
                yield capture

    with caplog.at_level(logging.INFO):
        assert sent(GoesAway(PICTURES), bus).frames == 40
    assert bus.failed == 3
    assert "ingest waits for the bus" in caplog.text
    assert "the bus is back" in caplog.text
    ids = [message.headers["ce_id"] for message in all_of(bus, TOPICS.frames)]
    assert list(dict.fromkeys(ids)) == [frame_id("door", "pictures", seq, PICTURES[seq]) for seq in range(40)]


def test_a_bus_that_is_dead_at_the_start_is_an_error(bus: AwayBus) -> None:
    bus.away.set()
    with pytest.raises(BusUnavailable):
        sent(Pictures(PICTURES), bus)


def test_a_stop_while_the_bus_is_away_ends(bus: AwayBus) -> None:
    stop = Event()
    bus_away = Timer(0.1, bus.away.set)
    bus_away.start()
    Timer(0.5, stop.set).start()
    source = adapters.build("source", "synthetic", {"fps": 50, "width": 64, "height": 64, "faces": 1})
    start = time.monotonic()
    sent(source, bus, stop=stop)
    assert time.monotonic() - start < 3


def test_a_stop_flushes_what_was_taken(bus: AwayBus) -> None:
    stop = Event()
    source = adapters.build("source", "synthetic", {"fps": 50, "width": 64, "height": 64, "faces": 1})
    Timer(0.6, stop.set).start()
    done = sent(source, bus, stop=stop)
    assert done.frames > 5
    assert [frame_of(message).seq for message in all_of(bus, TOPICS.frames)] == list(range(done.frames))


def test_a_lone_frame_does_not_wait_for_company(bus: AwayBus) -> None:
    """A camera of one frame in two seconds: its first frame is there at once."""
    stop = Event()
    source = adapters.build("source", "synthetic", {"fps": 0.5, "width": 64, "height": 64, "faces": 1})
    thread = Thread(target=sent, args=(source, bus), kwargs={"stop": stop})
    thread.start()
    deadline = time.monotonic() + 1.5
    while not sum(bus.end_offsets(TOPICS.frames).values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sum(bus.end_offsets(TOPICS.frames).values()) == 1
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_an_error_of_the_source_ends_ingest_behind_the_frames_before_it(bus: AwayBus) -> None:
    class Breaks(Pictures):
        def captures(self):  # type: ignore[no-untyped-def]
            yield from super().captures()
            raise BadSetting("the disk was pulled out")

    with pytest.raises(BadSetting, match="pulled out"):
        sent(Breaks(PICTURES), bus)
    assert len(all_of(bus, TOPICS.frames)) == 40


def test_a_file_waits_for_the_workers_and_a_camera_does_not(bus: AwayBus, tmp_path: Path) -> None:
    assert sent(Pictures(PICTURES, finite=False), bus, max_lag=16).frames == 40
    stop = Event()
    thread = Thread(target=sent, args=(Pictures(PICTURES), bus), kwargs={"stop": stop, "max_lag": 56})
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive()
    assert sum(bus.end_offsets(TOPICS.frames).values()) == 56
    with working(embedded(tmp_path), BrightHalf()):
        thread.join(10)
        assert not thread.is_alive()
    assert sum(bus.end_offsets(TOPICS.frames).values()) == 80
