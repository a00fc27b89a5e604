"""Frames to what is on them: the one way that the worker and `vigie predict` share."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from vigie.domain import Detection, Detections, Frame, frame_id
from vigie.drawing import draw
from vigie.errors import BadPicture, VigieError
from vigie.pictures import Picture, Pixels, encode_jpeg
from vigie.ports import Capture, Detector
from vigie.streaming.buses import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

HEADER_ROOM_BYTES = 200_000  # hundreds of detections as JSON
MAX_JPEG_BYTES = MAX_MESSAGE_BYTES - HEADER_ROOM_BYTES


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that a detector looked at."""

    found: Detections
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Unseen:
    """A frame that no detector can look at, now or later: poison."""

    stage: str
    reason: str


def frame_of_capture(capture: Capture, camera: str, epoch: str) -> Frame:
    """Name the picture and read its size; 0x0 where it is no picture."""
    try:
        picture = Picture.from_bytes(capture.encoded)
        width, height = picture.width, picture.height
    except BadPicture:
        width, height = 0, 0
    identifier = frame_id(camera, epoch, capture.seq, capture.encoded)
    return Frame(identifier, camera, capture.seq, capture.captured_at, capture.encoded, width, height)


def detect_frames(detector: Detector, frames: Sequence[Frame], *, model: str) -> list[Seen | Unseen]:
    """One entry a frame, in order. `times_ms` gets `decode` and `detect`, the frame's share of the batch's time."""
    decoded = [_decode(frame) for frame in frames]
    good = [one for one in decoded if isinstance(one, _Decoded)]
    watch = Stopwatch()
    with watch.time("detect"):
        outcomes = iter(_outcomes(detector, [one.picture for one in good]))
    share_ms = watch.times_ms["detect"] / max(1, len(good))
    return [
        one if isinstance(one, Unseen) else _seen(one, next(outcomes), model=model, detect_ms=share_ms)
        for one in decoded
    ]


def drawn(seen: Seen, labels: Sequence[str]) -> tuple[Detections, Pixels]:
    """A copy of the picture with its boxes, and the detections with the time that drawing them took."""
    watch = Stopwatch()
    with watch.time("draw"):
        rgb = draw(seen.pixels, seen.found.detections, labels)
    return with_times(seen.found, watch), rgb


def fitting_jpeg(rgb: Pixels) -> bytes:
    """At most `MAX_JPEG_BYTES`: a larger picture is halved until it fits a message."""
    while len(jpeg := encode_jpeg(rgb)) > MAX_JPEG_BYTES:
        half = cv2.resize(rgb, (rgb.shape[1] // 2, rgb.shape[0] // 2), interpolation=cv2.INTER_AREA)
        rgb = np.asarray(half, dtype=np.uint8)
    return jpeg


def with_times(found: Detections, watch: "Stopwatch") -> Detections:
    return replace(found, times_ms={**found.times_ms, **watch.times_ms})


@dataclass(slots=True)
class Stopwatch:
    times_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.times_ms[stage] = round(1000 * (time.perf_counter() - start), 3)


@dataclass(frozen=True, slots=True)
class _Decoded:
    frame: Frame
    picture: Picture
    decode_ms: float


def _decode(frame: Frame) -> _Decoded | Unseen:
    watch = Stopwatch()
    try:
        with watch.time("decode"):
            picture = Picture.from_bytes(frame.jpeg)
            picture.rgb()
    except BadPicture as error:
        return Unseen("decode", str(error))
    return _Decoded(frame, picture, watch.times_ms["decode"])


def _outcomes(detector: Detector, pictures: Sequence[Picture]) -> list[list[Detection] | Unseen]:
    """One picture that makes the model fail must not take the rest of its batch with it."""
    if not pictures:
        return []
    try:
        entries = detector.detect(pictures)
    except (VigieError, MemoryError):
        raise  # an outage or a small machine, not the picture
    except Exception as error:
        if len(pictures) > 1:
            return [outcome for picture in pictures for outcome in _outcomes(detector, [picture])]
        logger.exception("the model failed on a picture of %dx%d", pictures[0].width, pictures[0].height)
        return [Unseen("detect", f"the model failed: {type(error).__name__}: {error}")]
    return [Unseen("decode", str(entry)) if isinstance(entry, BadPicture) else entry for entry in entries]


def _seen(one: _Decoded, outcome: list[Detection] | Unseen, *, model: str, detect_ms: float) -> Seen | Unseen:
    if isinstance(outcome, Unseen):
        return outcome
    frame = one.frame
    found = Detections(
        frame_id=frame.id,
        camera=frame.camera,
        seq=frame.seq,
        captured_at=frame.captured_at,
        width=one.picture.width,
        height=one.picture.height,
        model=model,
        detections=tuple(outcome),
        times_ms={**frame.times_ms, "decode": one.decode_ms, "detect": round(detect_ms, 3)},
    )
    return Seen(found, one.picture.rgb())
