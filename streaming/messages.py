"""What travels on the bus: CloudEvents in binary mode, the facts in headers and the picture as it is.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from vigie.adapters import explain
from vigie.domain import Box, Detection, Detections, Frame
from vigie.errors import BadMessage
from vigie.ports import Message, Record
from vigie.streaming.buses import MAX_MESSAGE_BYTES

FRAME_TYPE = "vigie.frame.v1"
DETECTIONS_TYPE = "vigie.detections.v1"
ANNOTATED_TYPE = "vigie.annotated.v1"
SOURCE_PREFIX = "/cameras/"
JPEG = "image/jpeg"
DEATH_REASON = "dead_letter_reason"
MAX_DIGITS = 18  # fits 64 bits
MAX_REASON = 1000  # characters

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics; the prefix lets several installations share a broker."""

    prefix: str = ""

    @property
    def frames(self) -> str:
        return f"{self.prefix}frames"

    @property
    def detections(self) -> str:
        return f"{self.prefix}detections"

    @property
    def annotated(self) -> str:
        return f"{self.prefix}annotated"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}frames.dead-letter"

    @property
    def workers(self) -> str:
        """The consumer group that shares the frames."""
        return f"{self.prefix}workers"

    @property
    def all(self) -> tuple[str, ...]:
        return (self.frames, self.detections, self.annotated, self.dead_letters)


class DetectionWire(BaseModel):
    """One object."""

    model_config = ConfigDict(strict=True, title="detection")

    label: str = Field(min_length=1)
    score: FiniteFloat = Field(ge=0, le=1)
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] = Field(
        description="left, top, right, bottom in pixels of the frame, from the top left; right and bottom exclusive"
    )


class DetectionsWire(BaseModel):
    """What a model found on one frame, best first: the value of a `vigie.detections.v1` event."""

    model_config = ConfigDict(strict=True, title=DETECTIONS_TYPE)

    frame_id: str = Field(min_length=1, description="the ce_id of the frame")
    camera: str = Field(min_length=1)
    seq: int = Field(ge=0, description="counts the frames of one run of a camera from 0")
    captured_at: str = Field(description="RFC 3339 with a zone", json_schema_extra={"format": "date-time"})
    width: int = Field(ge=0, description="pixels")
    height: int = Field(ge=0, description="pixels")
    model: str = Field(description="the bundle or the model file that looked at the frame")
    detections: list[DetectionWire]
    times_ms: dict[str, FiniteFloat] = Field(description="milliseconds spent in each stage so far")
    file: str | None = Field(default=None, description="the file that the frame was read from, where it was one")


_OBJECTS = TypeAdapter(list[DetectionWire])
_TIMES = TypeAdapter(dict[str, FiniteFloat])


def frame_message(topics: Topics, frame: Frame) -> Message:
    headers = {
        **_event(FRAME_TYPE, frame.id, frame.camera, frame.captured_at, JPEG),
        "width": str(frame.width),
        "height": str(frame.height),
        "seq": str(frame.seq),
        "times_ms": _compact(dict(frame.times_ms)),
    }
    return Message(topics.frames, frame.camera, frame.jpeg, headers)


def frame_of(message: Message) -> Frame:
    """
    Raises:
        BadMessage: a header is missing or malformed; the message names it.
    """
    headers = message.headers
    _expect_type(headers, FRAME_TYPE)
    return Frame(
        id=_header(headers, "ce_id"),
        camera=_camera(headers),
        seq=_whole(headers, "seq"),
        captured_at=_time(headers),
        jpeg=message.value,
        width=_whole(headers, "width"),
        height=_whole(headers, "height"),
        times_ms=_parsed(headers, "times_ms", _TIMES.validate_json),
    )


def detections_json(found: Detections, *, file: str | None = None) -> str:
    """One line of JSON as `schemas/detections.v1.json` describes it."""
    fields = {
        "frame_id": found.frame_id,
        "camera": found.camera,
        "seq": found.seq,
        "captured_at": rfc3339(found.captured_at),
        "width": found.width,
        "height": found.height,
        "model": found.model,
        "detections": _objects(found),
        "times_ms": dict(found.times_ms),
    }
    return _compact(fields if file is None else {**fields, "file": file})


def detections_from_json(text: str | bytes) -> Detections:
    """
    Raises:
        BadMessage: it does not follow the schema.
    """
    try:
        wire = DetectionsWire.model_validate_json(text)
        return Detections(
            frame_id=wire.frame_id,
            camera=wire.camera,
            seq=wire.seq,
            captured_at=datetime.fromisoformat(wire.captured_at),
            width=wire.width,
            height=wire.height,
            model=wire.model,
            detections=_detections(wire.detections),
            times_ms=wire.times_ms,
        )
    except ValidationError as error:
        raise BadMessage(explain(error, DETECTIONS_TYPE)) from error
    except ValueError as error:
        raise BadMessage(f"{DETECTIONS_TYPE}: {error}") from error


def detections_message(topics: Topics, found: Detections) -> Message:
    headers = _event(DETECTIONS_TYPE, found.frame_id, found.camera, found.captured_at, "application/json")
    return Message(topics.detections, found.camera, detections_json(found).encode(), headers)


def detections_of(message: Message) -> Detections:
    """
    Raises:
        BadMessage: another type of event, or a value that does not follow the schema.
    """
    _expect_type(message.headers, DETECTIONS_TYPE)
    return detections_from_json(message.value)


@dataclass(frozen=True, slots=True)
class Annotated:
    """A frame with its boxes drawn, and the boxes themselves."""

    found: Detections
    jpeg: bytes


def annotated_message(topics: Topics, annotated: Annotated) -> Message:
    """The value is the drawn JPEG; the header `detections` lists label, score and box of each object as JSON."""
    found = annotated.found
    headers = {
        **_event(ANNOTATED_TYPE, found.frame_id, found.camera, found.captured_at, JPEG),
        "width": str(found.width),
        "height": str(found.height),
        "seq": str(found.seq),
        "model": found.model,
        "times_ms": _compact(dict(found.times_ms)),
        "detections": _compact(_objects(found)),
    }
    return Message(topics.annotated, found.camera, annotated.jpeg, headers)


def annotated_of(message: Message) -> Annotated:
    """
    Raises:
        BadMessage: a header is missing or malformed; the message names it.
    """
    headers = message.headers
    _expect_type(headers, ANNOTATED_TYPE)
    found = Detections(
        frame_id=_header(headers, "ce_id"),
        camera=_camera(headers),
        seq=_whole(headers, "seq"),
        captured_at=_time(headers),
        width=_whole(headers, "width"),
        height=_whole(headers, "height"),
        model=_header(headers, "model"),
        detections=_parsed(headers, "detections", lambda text: _detections(_OBJECTS.validate_json(text))),
        times_ms=_parsed(headers, "times_ms", _TIMES.validate_json),
    )
    return Annotated(found, message.value)


def dead_letter(topics: Topics, record: Record, *, stage: str, reason: str, at: datetime) -> Message:
    """The record as it came, and beside it why it went no further.

    Where the two together are too large for a message the value stays behind, on its own topic.
    """
    headers = {
        **record.message.headers,
        **_death(stage, reason, at),
        "dead_letter_topic": record.message.topic,
        "dead_letter_partition": str(record.partition),
        "dead_letter_offset": str(record.offset),
    }
    letter = Message(topics.dead_letters, record.message.key, record.message.value, headers)
    room = MAX_MESSAGE_BYTES - sum(len(name.encode()) + len(text.encode()) for name, text in headers.items())
    if len(letter.key.encode()) + len(letter.value) > room:
        return Message(letter.topic, letter.key, b"", headers)
    return letter


def unsent_letter(topics: Topics, message: Message, *, stage: str, reason: str, at: datetime) -> Message:
    """For what is too large to travel: its headers and the reason, without its value."""
    headers = {**message.headers, **_death(stage, reason, at), "dead_letter_topic": message.topic}
    return Message(topics.dead_letters, message.key, b"", headers)


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def schema() -> str:
    """The JSON Schema of `vigie.detections.v1`, as published in `schemas/detections.v1.json`."""
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:vigie:detections:v1",
        **DetectionsWire.model_json_schema(),
    }
    return json.dumps(described, indent=2) + "\n"


def _event(kind: str, identifier: str, camera: str, at: datetime, content_type: str) -> dict[str, str]:
    return {
        "ce_specversion": "1.0",
        "ce_id": identifier,
        "ce_source": f"{SOURCE_PREFIX}{camera}",
        "ce_type": kind,
        "ce_time": rfc3339(at),
        "content-type": content_type,
    }


def _death(stage: str, reason: str, at: datetime) -> dict[str, str]:
    return {"dead_letter_stage": stage, DEATH_REASON: reason[:MAX_REASON], "dead_letter_time": rfc3339(at)}


def _objects(found: Detections) -> list[dict[str, object]]:
    return [
        {"label": one.label, "score": one.score, "box": [one.box.left, one.box.top, one.box.right, one.box.bottom]}
        for one in found.detections
    ]


def _detections(wire: list[DetectionWire]) -> tuple[Detection, ...]:
    return tuple(Detection(one.label, one.score, Box(*one.box)) for one in wire)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise BadMessage(f"the header {name!r} is missing or empty")
    return value


def _expect_type(headers: Mapping[str, str], kind: str) -> None:
    if (found := _header(headers, "ce_type")) != kind:
        raise BadMessage(f"the header 'ce_type' says {found!r} where {kind!r} is expected")


def _camera(headers: Mapping[str, str]) -> str:
    source = _header(headers, "ce_source")
    camera = source.removeprefix(SOURCE_PREFIX)
    if camera == source or not camera:
        raise BadMessage(f"the header 'ce_source' is {source!r}; expected {SOURCE_PREFIX}<camera>")
    return camera


def _whole(headers: Mapping[str, str], name: str) -> int:
    text = _header(headers, name)
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise BadMessage(f"the header {name!r} is {text!r}; expected a whole number from 0")
    return int(text)


def _time(headers: Mapping[str, str]) -> datetime:
    text = _header(headers, "ce_time")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadMessage(f"the header 'ce_time' is {text!r}; expected an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise BadMessage(f"the header 'ce_time' is {text!r}, which has no zone")
    return moment


def _parsed(headers: Mapping[str, str], name: str, parse: Callable[[str], _Value]) -> _Value:
    text = _header(headers, name)
    try:
        return parse(text)
    except ValidationError as error:
        raise BadMessage(explain(error, f"the header {name!r}")) from error
    except ValueError as error:
        raise BadMessage(f"the header {name!r}: {error}") from error
