"""What travels is what was meant, and what is malformed is refused by the name of its header."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.domain import Box, Detection, Detections, Frame
from vigie.errors import BadMessage
from vigie.ports import Message, Record
from vigie.streaming.buses import MAX_MESSAGE_BYTES, size_of
from vigie.streaming.messages import (
    Annotated,
    Topics,
    annotated_message,
    annotated_of,
    dead_letter,
    detections_from_json,
    detections_json,
    detections_message,
    detections_of,
    frame_message,
    frame_of,
    rfc3339,
    schema,
    unsent_letter,
)

NOON = datetime(2026, 6, 1, 12, 0, 0, 123_456, tzinfo=UTC)
TOPICS = Topics("test.")
FRAME = Frame("f" * 32, "door", 7, NOON, b"\xff\xd8 jpeg \xff\xd9", 640, 480, {"capture": 1.25})
FOUND = Detections(
    FRAME.id, "door", 7, NOON, 640, 480, "faces/3", (Detection("with_mask", 0.75, Box(1.5, 2, 30, 40)),), {"detect": 5}
)
SCHEMA_FILE = Path(__file__).parents[3] / "streaming" / "schemas" / "detections.v1.json"


def with_header(message: Message, name: str, value: str | None) -> Message:
    headers = {key: text for key, text in message.headers.items() if key != name}
    return replace(message, headers=headers if value is None else {**headers, name: value})


def test_a_frame_comes_back_as_it_was_sent() -> None:
    message = frame_message(TOPICS, FRAME)
    assert (message.topic, message.key, message.value) == ("test.frames", "door", FRAME.jpeg)
    assert frame_of(message) == FRAME


def test_a_frame_carries_the_headers_of_cloudevents() -> None:
    headers = frame_message(TOPICS, FRAME).headers
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": FRAME.id,
        "ce_source": "/cameras/door",
        "ce_type": "vigie.frame.v1",
        "ce_time": "2026-06-01T12:00:00.123456Z",
        "content-type": "image/jpeg",
        "width": "640",
        "height": "480",
        "seq": "7",
        "times_ms": '{"capture":1.25}',
    }


def test_detections_come_back_as_they_were_sent() -> None:
    message = detections_message(TOPICS, FOUND)
    assert (message.topic, message.key) == ("test.detections", "door")
    assert detections_of(message) == FOUND


def test_a_drawn_picture_carries_what_was_found_on_it() -> None:
    message = annotated_message(TOPICS, Annotated(FOUND, b"drawn"))
    assert (message.topic, message.value) == ("test.annotated", b"drawn")
    assert json.loads(message.headers["detections"]) == [
        {"label": "with_mask", "score": 0.75, "box": [1.5, 2.0, 30.0, 40.0]}
    ]
    assert annotated_of(message) == Annotated(FOUND, b"drawn")


@given(
    st.lists(
        st.tuples(
            st.text(min_size=1),
            st.floats(0, 1),
            st.floats(-1e4, 1e4),
            st.floats(-1e4, 1e4),
            st.floats(1e-3, 1e4),
            st.floats(1e-3, 1e4),
        ),
        max_size=4,
    ),
    st.text(min_size=1).filter(lambda text: text.isprintable()),
)
def test_any_detections_survive_the_way(
    objects: list[tuple[str, float, float, float, float, float]], camera: str
) -> None:
    detections = tuple(Detection(label, score, Box(x, y, x + w, y + h)) for label, score, x, y, w, h in objects)
    found = replace(FOUND, camera=camera, detections=detections)
    assert detections_of(detections_message(TOPICS, found)) == found


def test_the_published_schema_is_the_one_that_is_read_and_describes_what_is_sent() -> None:
    assert SCHEMA_FILE.read_text() == schema()
    published = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(published)
    validator = jsonschema.Draft202012Validator(published)
    validator.validate(json.loads(detections_message(TOPICS, FOUND).value))
    validator.validate(json.loads(detections_json(FOUND, file="a.jpg")))
    assert not validator.is_valid({**json.loads(detections_json(FOUND)), "seq": -1})


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_id", None),
        ("ce_id", ""),
        ("ce_type", "vigie.alert.v1"),
        ("ce_source", "door"),
        ("ce_source", "/cameras/"),
        ("ce_time", "noon"),
        ("ce_time", "2026-06-01T12:00:00"),
        ("seq", "-1"),
        ("seq", "1.0"),
        ("seq", "9" * 5000),
        ("width", None),
        ("height", "٣"),
        ("times_ms", "[]"),
        ("times_ms", '{"capture": 1e999}'),
        ("times_ms", '{"capture": "soon"}'),
    ],
)
def test_a_malformed_frame_is_refused_by_the_name_of_the_header(header: str, value: str | None) -> None:
    with pytest.raises(BadMessage, match=f"'{header}'"):
        frame_of(with_header(frame_message(TOPICS, FRAME), header, value))


@pytest.mark.parametrize(
    "objects", ["{}", '[{"label":"a","score":2,"box":[0,0,1,1]}]', '[{"label":"a","score":1,"box":[1,0,1,1]}]']
)
def test_malformed_boxes_of_a_drawn_picture_are_refused(objects: str) -> None:
    message = with_header(annotated_message(TOPICS, Annotated(FOUND, b"drawn")), "detections", objects)
    with pytest.raises(BadMessage, match="'detections'"):
        annotated_of(message)


@pytest.mark.parametrize("text", ["", "{}", "null", "[1]", '{"frame_id": NaN}'])
def test_what_is_no_detections_is_refused(text: str) -> None:
    with pytest.raises(BadMessage, match=r"vigie\.detections\.v1"):
        detections_from_json(text)


def test_a_capture_time_without_a_zone_is_refused() -> None:
    text = detections_json(FOUND).replace(rfc3339(NOON), "2026-06-01T12:00:00")
    with pytest.raises(BadMessage, match="zone"):
        detections_from_json(text)


def test_fields_of_later_versions_are_passed_over() -> None:
    assert detections_from_json(json.dumps({**json.loads(detections_json(FOUND)), "track": 3})) == FOUND


def test_times_are_written_in_utc() -> None:
    paris = NOON.astimezone(timezone(timedelta(hours=2)))
    assert rfc3339(paris) == rfc3339(NOON) == "2026-06-01T12:00:00.123456Z"


def test_a_dead_letter_keeps_the_record_and_says_why() -> None:
    message = frame_message(TOPICS, FRAME)
    letter = dead_letter(TOPICS, Record(message, 2, 99), stage="decode", reason="not a picture", at=NOON)
    assert (letter.topic, letter.key, letter.value) == ("test.frames.dead-letter", "door", FRAME.jpeg)
    assert {**letter.headers, **message.headers} == letter.headers
    assert {name: text for name, text in letter.headers.items() if name.startswith("dead_letter")} == {
        "dead_letter_stage": "decode",
        "dead_letter_reason": "not a picture",
        "dead_letter_time": "2026-06-01T12:00:00.123456Z",
        "dead_letter_topic": "test.frames",
        "dead_letter_partition": "2",
        "dead_letter_offset": "99",
    }


def test_a_dead_letter_always_fits_a_message() -> None:
    message = frame_message(TOPICS, FRAME)
    full = replace(message, value=b"x" * (MAX_MESSAGE_BYTES - size_of(message) + len(message.value)))
    assert size_of(full) == MAX_MESSAGE_BYTES
    letter = dead_letter(TOPICS, Record(full, 0, 1), stage="decode", reason="no picture " * 1000, at=NOON)
    assert size_of(letter) < MAX_MESSAGE_BYTES
    assert letter.value == b""


def test_what_is_too_large_to_travel_leaves_its_headers() -> None:
    letter = unsent_letter(TOPICS, frame_message(TOPICS, FRAME), stage="ingest", reason="too large", at=NOON)
    assert letter.value == b""
    assert letter.headers["ce_id"] == FRAME.id
    assert letter.headers["dead_letter_reason"] == "too large"


def test_topics_share_a_prefix() -> None:
    assert Topics("a.").all == ("a.frames", "a.detections", "a.annotated", "a.frames.dead-letter")
    assert Topics().workers == "workers"
