"""Frames to what is on them: the one way that the worker and `vigie predict` share.

A frame is decoded as late and as little as can be: for the detector at the size that its input needs, whole only to be
drawn on. Evaluation decodes whole pictures: it measures the model, not this.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from vigie.domain import Detection, Detections, Frame, frame_id
from vigie.drawing import draw_on
from vigie.errors import BadPicture, VigieError
from vigie.pictures import REDUCE_FROM, Picture, Pixels, encode_jpeg
from vigie.ports import Capture, Detector
from vigie.streaming.buses import MAX_MESSAGE_BYTES

logger = logging.getLogger(__name__)

HEADER_ROOM_BYTES = 200_000  # hundreds of detections as JSON
MAX_JPEG_BYTES = MAX_MESSAGE_BYTES - HEADER_ROOM_BYTES


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that a detector looked at."""

    found: Detections
    picture: Picture

    @property
    def pixels(self) -> Pixels:
        """Of the whole frame.

        Raises:
            BadPicture: the detector could do with less, and the whole cannot be decoded.
        """
        return self.picture.rgb()


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
    """One entry a frame, in order. `times_ms` gets `decode` and `detect`, a frame's share of the rest of the batch."""
    opened = [_opened(frame) for frame in frames]
    pictures = [picture for picture in opened if isinstance(picture, Picture)]
    watch = Stopwatch()
    with watch.time("detect"):
        outcomes = iter(_outcomes(detector, pictures))
    decode_ms = sum(_decode_ms(picture) for picture in pictures)
    share_ms = max(0.0, watch.times_ms["detect"] - decode_ms) / max(1, len(pictures))
    return [
        picture
        if isinstance(picture, Unseen)
        else _seen(frame, picture, next(outcomes), model=model, detect_ms=share_ms)
        for frame, picture in zip(frames, opened, strict=True)
    ]


def drawn(seen: Seen, labels: Sequence[str]) -> tuple[Detections, Pixels]:
    """The picture with its boxes, and the detections with the time that drawing them took.

    Raises:
        BadPicture: as `Seen.pixels`.
    """
    rgb = seen.picture.taken_rgb()
    watch = Stopwatch({"decode": _decode_ms(seen.picture)})
    with watch.time("draw"):
        draw_on(rgb, seen.found.detections, labels)
    return with_times(seen.found, watch), rgb


def annotated(seen: Seen, labels: Sequence[str]) -> tuple[Detections, bytes]:
    """The picture with its boxes as a JPEG that fits a message, and the detections with the times of making it.

    Where nothing was found it is the frame as it came, neither decoded nor encoded, if that is a plain JPEG.

    Raises:
        BadPicture: as `Seen.pixels`.
    """
    if not seen.found.detections and seen.picture.is_plain_jpeg:
        jpeg = seen.picture.jpeg()
        if len(jpeg) <= MAX_JPEG_BYTES:
            return with_times(seen.found, Stopwatch({"draw": 0.0, "encode": 0.0})), jpeg
    found, rgb = drawn(seen, labels)
    watch = Stopwatch()
    with watch.time("encode"):
        jpeg = fitting_jpeg(rgb)
    return with_times(found, watch), jpeg


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


def _opened(frame: Frame) -> Picture | Unseen:
    try:
        return Picture.from_bytes(frame.jpeg, reduce_from=REDUCE_FROM)
    except BadPicture as error:
        return Unseen("decode", str(error))


def _decode_ms(picture: Picture) -> float:
    return round(1000 * picture.decode_s, 3)


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


def _seen(
    frame: Frame, picture: Picture, outcome: list[Detection] | Unseen, *, model: str, detect_ms: float
) -> Seen | Unseen:
    if isinstance(outcome, Unseen):
        return outcome
    found = Detections(
        frame_id=frame.id,
        camera=frame.camera,
        seq=frame.seq,
        captured_at=frame.captured_at,
        width=picture.width,
        height=picture.height,
        model=model,
        detections=tuple(outcome),
        times_ms={**frame.times_ms, "decode": _decode_ms(picture), "detect": round(detect_ms, 3)},
    )
    return Seen(found, picture)
