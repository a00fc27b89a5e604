import json
from datetime import timedelta

import live_page
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.domain import Box, Detection
from vigie.errors import BadMessage
from vigie.streaming.web.wire import ack, ack_of, live_frame, pack, unpack

JPEG = b"\xff\xd8 a picture \xff\xd9"


def test_a_frame_reaches_the_client_with_its_facts_and_both_ages() -> None:
    annotated = live_page.annotated("door é", 7, JPEG)
    frame = live_frame(annotated, received_s=100.0)
    message = pack(frame, now=annotated.found.captured_at + timedelta(milliseconds=250), now_s=100.125)
    header, jpeg = unpack(message)
    assert jpeg == JPEG
    assert header == {
        "camera": "door é",
        "frame_id": annotated.found.frame_id,
        "seq": 7,
        "captured_at": annotated.found.captured_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "width": 320,
        "height": 240,
        "detections": [{"label": "with_mask", "score": 0.9, "box": [10, 20, 60, 80]}],
        "delay_ms": 250.0,
        "age_ms": 125.0,
        "times_ms": {"detect": 12.5},
    }


def test_a_number_without_a_word_in_json_is_refused_before_it_reaches_a_browser() -> None:
    boundless = Detection("wall", 0.5, Box(0, 0, float("inf"), 10))
    with pytest.raises(BadMessage, match="infinity or NaN"):
        live_frame(live_page.annotated("door", 0, JPEG, found=[boundless]), received_s=0.0)


def test_an_acknowledgement_comes_back_as_camera_and_frame() -> None:
    header, _ = unpack(
        pack(
            live_frame(annotated := live_page.annotated("a", 0, JPEG), 0.0), now=annotated.found.captured_at, now_s=0.0
        )
    )
    assert ack_of(ack(header)) == ("a", annotated.found.frame_id)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", "null", '{"ack": 1, "camera": "a"}', '{"ack": "x"}', '"ack"', "[" * 4000]
)
def test_what_is_no_acknowledgement_is_a_bad_message(text: str) -> None:
    with pytest.raises(BadMessage, match="an acknowledgement"):
        ack_of(text)


@given(st.binary(max_size=64))
def test_garbage_is_never_taken_for_a_frame(message: bytes) -> None:
    try:
        header, _ = unpack(message)
    except BadMessage:
        return
    assert isinstance(header, dict)


@pytest.mark.parametrize("cut", [0, 3, 4, 40])
def test_a_message_that_is_cut_short_is_a_bad_message(cut: int) -> None:
    annotated = live_page.annotated("a", 0, JPEG)
    message = pack(live_frame(annotated, 0.0), now=annotated.found.captured_at, now_s=0.0)
    with pytest.raises(BadMessage):
        unpack(message[:cut])


def test_a_header_that_is_no_object_is_a_bad_message() -> None:
    encoded = json.dumps([1]).encode()
    with pytest.raises(BadMessage, match="list"):
        unpack(len(encoded).to_bytes(4, "big") + encoded)
