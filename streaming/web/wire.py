"""The words between the page and its server.

Server to client, one binary message a frame: the length of the header (4 bytes, big-endian), the header
(JSON in UTF-8, see `Header`), the JPEG. Client to server, one text message a frame that was drawn or given up:
`{"ack": "<frame_id>", "camera": "<camera>"}`.
"""

import json
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from vigie.errors import BadMessage
from vigie.streaming.messages import Annotated, rfc3339

ACK_MAX_BYTES = 4096  # what a client may send at once; an acknowledgement is about 100 bytes
_LENGTH = struct.Struct(">I")


class HeaderDetection(TypedDict):
    """`box` is left, top, right, bottom in pixels of the `width` x `height` frame."""

    label: str
    score: float
    box: list[float]


class Header(TypedDict):
    """`captured_at` is RFC 3339. `delay_ms` is from the capture and `age_ms` from the arrival at this server to
    the moment the message was sent; both by the server's clock."""

    camera: str
    frame_id: str
    seq: int
    captured_at: str
    width: int
    height: int
    detections: list[HeaderDetection]
    delay_ms: float
    age_ms: float
    times_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """An annotated picture on its way to browsers; `facts` is the header's JSON but for the two ages.

    It is encoded once for all of them. `received_s` is on the monotonic clock.
    """

    camera: str
    frame_id: str
    seq: int
    captured_at: datetime
    facts: bytes
    jpeg: bytes
    received_s: float


def live_frame(annotated: Annotated, received_s: float) -> LiveFrame:
    """
    Raises:
        BadMessage: it holds a number that JSON has no word for; no browser could read it.
    """
    found = annotated.found
    facts = {
        "camera": found.camera,
        "frame_id": found.frame_id,
        "seq": found.seq,
        "captured_at": rfc3339(found.captured_at),
        "width": found.width,
        "height": found.height,
        "detections": [
            {"label": one.label, "score": one.score, "box": [one.box.left, one.box.top, one.box.right, one.box.bottom]}
            for one in found.detections
        ],
        "times_ms": dict(found.times_ms),
    }
    try:
        encoded = json.dumps(facts, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise BadMessage(f"frame {found.frame_id} of {found.camera}: infinity or NaN in its facts") from error
    return LiveFrame(found.camera, found.frame_id, found.seq, found.captured_at, encoded, annotated.jpeg, received_s)


def pack(frame: LiveFrame, *, now: datetime, now_s: float) -> bytes:
    """The message for one client; `now_s` is on the same monotonic clock as `frame.received_s`."""
    delay_ms = (now - frame.captured_at).total_seconds() * 1000
    age_ms = (now_s - frame.received_s) * 1000
    header = b'%s,"delay_ms":%.1f,"age_ms":%.1f}' % (frame.facts.removesuffix(b"}"), delay_ms, age_ms)
    return b"".join((_LENGTH.pack(len(header)), header, frame.jpeg))


def unpack(message: bytes) -> tuple[Header, bytes]:
    """The header and the JPEG of a server's message.

    Raises:
        BadMessage: it is cut short or its header is no JSON object.
    """
    if len(message) < _LENGTH.size:
        raise BadMessage(f"a live message starts with {_LENGTH.size} bytes of length, got {len(message)} bytes in all")
    end = _LENGTH.size + _LENGTH.unpack_from(message)[0]
    if len(message) < end:
        raise BadMessage(f"a live message claims {end} bytes up to its picture and has {len(message)}")
    try:
        header: Header = json.loads(message[_LENGTH.size : end])
    except ValueError as error:
        raise BadMessage(f"the header of a live message is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise BadMessage(f"the header of a live message is no JSON object but {type(header).__name__}")
    return header, message[end:]


def ack(header: Header) -> str:
    """What the client answers."""
    return json.dumps({"ack": header["frame_id"], "camera": header["camera"]})


def ack_of(text: str) -> tuple[str, str]:
    """Camera and frame id of a client's message.

    Raises:
        BadMessage: it is not an acknowledgement.
    """
    try:
        words = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadMessage("an acknowledgement is JSON") from error
    match words:
        case {"ack": str(frame_id), "camera": str(camera)}:
            return camera, frame_id
    raise BadMessage('an acknowledgement has the texts "ack" and "camera"')
