"""Each frame gets its answer once its results stand on the bus: what was found, or why it could not be looked at."""

import io
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest
from PIL import Image
from stream_parts import BLACK, TOPICS, AwayBus, BrightHalf, Pictures, all_of, embedded, half, working

from vigie.domain import Box, Detection, Frame
from vigie.errors import BadPicture, BusUnavailable, Unavailable
from vigie.pictures import MAX_PIXELS, Picture, encode_jpeg
from vigie.ports import Message, Record
from vigie.streaming import outage
from vigie.streaming.detection import MAX_JPEG_BYTES, Seen, detect_frames, fitting_jpeg, frame_of_capture
from vigie.streaming.ingest import ingest
from vigie.streaming.messages import annotated_of, detections_of, frame_message
from vigie.streaming.worker import decide, work

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def record(jpeg: bytes, *, seq: int = 0, offset: int = 0) -> Record:
    frame = Frame(f"frame-{seq}", "door", seq, NOON, jpeg, 64, 48, {"capture": 2.0})
    return Record(frame_message(TOPICS, frame), 0, offset)


def decided(records: list[Record], detector: BrightHalf | None = None) -> list[Message]:
    polled_at = NOON + timedelta(milliseconds=12)
    return decide(records, detector or BrightHalf(), topics=TOPICS, model="m/1", polled_at=polled_at)


def test_a_frame_becomes_its_detections_and_a_drawn_picture() -> None:
    found_message, drawn_message = decided([record(half("left"), seq=4)])
    found = detections_of(found_message)
    assert (found.frame_id, found.camera, found.seq, found.captured_at) == ("frame-4", "door", 4, NOON)
    assert (found.model, found.width, found.height) == ("m/1", 64, 48)
    assert [(one.label, one.box.right) for one in found.detections] == [("left", 32)]
    drawn = annotated_of(drawn_message)
    assert drawn.found == found
    before, after = Picture.from_bytes(half("left")).rgb(), Picture.from_bytes(drawn.jpeg).rgb()
    assert before.shape == after.shape
    assert np.abs(before.astype(int) - after.astype(int)).max() > 60  # a box was drawn


def test_the_time_in_each_stage_is_told() -> None:
    times_ms = detections_of(decided([record(half("left"))])[0]).times_ms
    assert list(times_ms) == ["capture", "queue", "decode", "detect", "draw", "encode"]
    assert (times_ms["capture"], times_ms["queue"]) == (2.0, 10.0)
    assert all(0 < times_ms[stage] < 5000 for stage in ("decode", "detect", "draw", "encode"))


class Scaled(BrightHalf):
    """Needs 16 x 12 pixels, as a small model does; finds nothing where both halves are alike."""

    def _one(self, picture: Picture) -> list[Detection] | BadPicture:
        small = picture.rgb_for(16, 12)
        assert small.shape[0] < picture.height
        found = super()._one(Picture.from_pixels(small))
        assert not isinstance(found, BadPicture)
        factor = picture.width / small.shape[1]
        return [
            replace(
                one, box=Box(*(edge * factor for edge in (one.box.left, one.box.top, one.box.right, one.box.bottom)))
            )
            for one in found
            if one.score > 0.5
        ]


def test_a_frame_on_which_nothing_is_found_is_sent_on_as_it_came_and_never_decoded_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jpeg = encode_jpeg(np.random.default_rng(1).integers(0, 60, (48, 64, 3), dtype=np.uint8))

    decoded = []
    decode = cv2.imdecode
    with monkeypatch.context() as context:
        context.setattr(cv2, "imdecode", lambda *given: decoded.append(decode(*given)) or decoded[-1])
        found_message, annotated_message = decided([record(jpeg)], Scaled())
    assert [pixels.shape for pixels in decoded] == [(12, 16, 3)]
    found = detections_of(found_message)
    assert found.detections == ()
    assert (found.width, found.height) == (64, 48)
    assert annotated_of(annotated_message).jpeg == jpeg
    assert list(found.times_ms) == ["capture", "queue", "decode", "detect", "draw", "encode"]
    assert found.times_ms["decode"] > 0
    assert (found.times_ms["draw"], found.times_ms["encode"]) == (0.0, 0.0)


def test_a_frame_with_findings_is_decoded_whole_to_be_drawn_on_and_its_boxes_are_in_its_own_pixels() -> None:
    found_message, annotated_message = decided([record(half("right"))], Scaled())
    (one,) = detections_of(found_message).detections
    assert (one.label, one.box) == ("right", Box(32, 0, 64, 48))
    assert Picture.from_bytes(annotated_of(annotated_message).jpeg).rgb().shape == (48, 64, 3)


def test_a_frame_as_it_came_that_is_no_plain_jpeg_or_too_large_for_a_message_is_encoded_anew() -> None:
    png = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 60, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(png, "PNG")
    huge = encode_jpeg(np.random.default_rng(1).integers(0, 40, (1600, 2400, 3), dtype=np.uint8), 100)
    assert len(huge) > MAX_JPEG_BYTES
    for encoded in (png.getvalue(), huge):

        class Nothing(BrightHalf):
            def _one(self, picture: Picture) -> list[Detection] | BadPicture:
                picture.rgb_for(8, 8)
                return []

        (_, message) = decided([record(encoded)], Nothing())
        jpeg = annotated_of(message).jpeg
        assert len(jpeg) <= MAX_JPEG_BYTES
        assert Picture.from_bytes(jpeg).format == "jpeg"


def test_a_frame_that_can_be_decoded_small_but_not_whole_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Picture) -> None:
        raise BadPicture("only half of it is there")

    detector = Scaled()
    good = record(half("left"), offset=3)
    with monkeypatch.context() as context:
        context.setattr(Scaled, "_one", lambda *_: [Detection("left", 0.9, Box(0, 0, 9, 9))])
        context.setattr(Picture, "rgb", broken)
        (letter,) = decided([good], detector)
    assert letter.topic == TOPICS.dead_letters
    assert (letter.headers["dead_letter_stage"], letter.headers["dead_letter_offset"]) == ("decode", "3")


def test_a_frame_from_the_future_has_waited_for_nothing() -> None:
    early = NOON - timedelta(minutes=1)
    (message, _) = decide([record(half("left"))], BrightHalf(), topics=TOPICS, model="m/1", polled_at=early)
    assert detections_of(message).times_ms["queue"] == 0.0


def test_a_batch_is_detected_at_once_and_answered_in_order() -> None:
    detector = BrightHalf()
    sides = ["left", "right", "right", "left"]
    messages = decided([record(half(side, seed=seq), seq=seq) for seq, side in enumerate(sides)], detector)
    assert detector.batches == [4]
    assert [detections_of(message).detections[0].label for message in messages[::2]] == sides
    assert [annotated_of(message).found.seq for message in messages[1::2]] == [0, 1, 2, 3]


def too_many_pixels() -> bytes:
    side = int(MAX_PIXELS**0.5) + 100
    return encode_jpeg(np.zeros((16, 16, 3), np.uint8)).replace(
        b"\xff\xc0\x00\x11\x08\x00\x10\x00\x10", b"\xff\xc0\x00\x11\x08" + side.to_bytes(2, "big") * 2
    )


@pytest.mark.parametrize(
    ("jpeg", "stage", "reason"),
    [
        (b"", "decode", "the picture is empty (0 bytes)"),
        (b"garbage", "decode", "not a picture: its 7 bytes start with b'garbage'"),
        (half("left")[:200], "decode", "the header of the picture cannot be read"),
        (too_many_pixels(), "decode", f"over the limit of {MAX_PIXELS}"),
        (BLACK, "detect", "the model failed: ZeroDivisionError: nothing but black"),
    ],
    ids=["empty", "garbage", "cut", "too many pixels", "model error"],
)
def test_a_poisoned_frame_is_a_dead_letter_and_spoils_no_other(jpeg: bytes, stage: str, reason: str) -> None:
    good = [record(half("left", seed=seq), seq=seq, offset=seq) for seq in (0, 1)]
    poison = record(jpeg, seq=9, offset=9)
    messages = decided([good[0], poison, good[1]])
    assert [message.topic for message in messages] == [
        TOPICS.detections,
        TOPICS.annotated,
        TOPICS.dead_letters,
        TOPICS.detections,
        TOPICS.annotated,
    ]
    letter = messages[2]
    assert letter.value == jpeg
    assert letter.headers["dead_letter_stage"] == stage
    assert reason in letter.headers["dead_letter_reason"]
    assert letter.headers["dead_letter_offset"] == "9"


def test_a_message_that_is_no_frame_is_a_dead_letter() -> None:
    good = record(half("left"))
    stray = replace(good, message=replace(good.message, headers={"ce_type": "something.else"}))
    (letter,) = decided([stray])
    assert letter.headers["dead_letter_stage"] == "message"
    assert "'ce_type'" in letter.headers["dead_letter_reason"]


def test_a_detector_that_cannot_be_reached_dead_letters_nothing() -> None:
    class Away(BrightHalf):
        def detect(self, pictures):  # type: ignore[no-untyped-def]
            raise Unavailable("the model server is away")

    with pytest.raises(Unavailable):
        decided([record(half("left"))], Away())


def test_a_drawn_picture_that_is_too_large_is_made_smaller() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), dtype=np.uint8)
    jpeg = fitting_jpeg(rgb)
    assert len(jpeg) <= MAX_JPEG_BYTES
    shown = Picture.from_bytes(jpeg)
    assert (shown.width, shown.height) == (1500, 1000)


def test_sizes_are_those_of_the_picture_whatever_the_header_claims() -> None:
    liar = Frame("f", "door", 0, NOON, half("left"), 9999, 1)
    (seen,) = detect_frames(BrightHalf(), [liar], model="m/1")
    assert isinstance(seen, Seen)
    assert (seen.found.width, seen.found.height) == (64, 48)


def send(folder: Path, pictures: list[bytes]) -> None:
    bus = embedded(folder)
    ingest(Pictures(pictures), camera="door", bus=bus, topics=TOPICS, stop=Event())
    bus.close()


def wait_for(bus: AwayBus, *, behind: int = 0, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while bus.real.lag(TOPICS.frames, TOPICS.workers) > behind:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_worked_on_is_committed_and_not_done_again(tmp_path: Path) -> None:
    pictures = [half("left", seed=seed) for seed in range(10)] + [b"garbage"]
    send(tmp_path, pictures)
    for _ in range(2):
        bus = AwayBus(embedded(tmp_path))
        with working(bus, BrightHalf()):
            wait_for(bus)
    assert len(all_of(bus, TOPICS.detections)) == len(all_of(bus, TOPICS.annotated)) == 10
    assert len(all_of(bus, TOPICS.dead_letters)) == 1


def test_an_outage_pauses_and_loses_and_dead_letters_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_S", 0.02)
    send(tmp_path, [half("left", seed=seed) for seed in range(30)])
    bus = AwayBus(embedded(tmp_path))
    with working(bus, BrightHalf(), batch=2):
        for _ in range(3):
            bus.failures = 4
            time.sleep(0.1)
        wait_for_failures(bus)
        wait_for(bus)
    seqs = [detections_of(message).seq for message in all_of(bus, TOPICS.detections)]
    assert sorted(set(seqs)) == list(range(30))
    assert all_of(bus, TOPICS.dead_letters) == []


def wait_for_failures(bus: AwayBus) -> None:
    deadline = time.monotonic() + 5
    while bus.failures > 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert bus.failed >= 4


def test_a_worker_can_be_stopped_while_the_bus_is_away(tmp_path: Path) -> None:
    bus = AwayBus(embedded(tmp_path))
    with working(bus, BrightHalf()):
        time.sleep(0.2)
        bus.away.set()
        time.sleep(0.3)
        start = time.monotonic()
    assert time.monotonic() - start < 3
    assert bus.failed > 0


def test_a_bus_that_is_dead_at_the_start_is_an_error(tmp_path: Path) -> None:
    bus = AwayBus(embedded(tmp_path))
    bus.away.set()
    with pytest.raises(BusUnavailable):
        work(bus, BrightHalf(), topics=TOPICS, model="m/1", member="w", stop=Event())


def test_a_frame_of_a_capture_is_named_after_its_content() -> None:
    (capture,) = Pictures([half("left")]).captures()
    one, same = (frame_of_capture(capture, "door", "e") for _ in range(2))
    assert one == same
    assert frame_of_capture(capture, "gate", "e").id != one.id
    assert frame_of_capture(capture, "door", "f").id != one.id
