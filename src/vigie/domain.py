"""The words that all stages share. Standard library only; every value is checked when it is made."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Box:
    """Corners in pixels of the original picture; origin at the top left; right and bottom exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        # Written so that NaN fails too.
        if not (self.left < self.right and self.top < self.bottom):
            raise ValueError(f"a box needs an area, got {self}")

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return self.width * self.height

    def iou(self, other: "Box") -> float:
        """Intersection over union, 0 to 1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """An object as a person marked it."""

    label: str
    box: Box

    def __post_init__(self) -> None:
        if not self.label:
            raise ValueError("a labelled box needs a label")


@dataclass(frozen=True, slots=True)
class Detection:
    """An object as a detector found it; score in [0, 1]."""

    label: str
    score: float
    box: Box

    def __post_init__(self) -> None:
        if not self.label:
            raise ValueError("a detection needs a label")
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"a score lies in [0, 1], got {self.score}")


def frame_id(camera: str, epoch: str, seq: int, jpeg: bytes) -> str:
    """32 hex digits that name a frame, the same however often it is sent.

    `epoch` tells two runs of one source apart wherever their sequence numbers start again.
    """
    parts = (camera, epoch, str(seq), hashlib.sha256(jpeg).hexdigest())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of one camera, still encoded.

    `width` and `height` are those of the picture's header in pixels, 0 where it could not be read.
    `times_ms` holds the milliseconds spent in each stage so far.
    """

    id: str
    camera: str
    seq: int
    captured_at: datetime
    jpeg: bytes
    width: int
    height: int
    times_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_captured(self.id, self.camera, self.seq, self.captured_at)


@dataclass(frozen=True, slots=True)
class Detections:
    """What a model found on one frame, best first; boxes in pixels of the `width` x `height` frame."""

    frame_id: str
    camera: str
    seq: int
    captured_at: datetime
    width: int
    height: int
    model: str
    detections: tuple[Detection, ...]
    times_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_captured(self.frame_id, self.camera, self.seq, self.captured_at)

    def counts(self) -> dict[str, int]:
        """How many objects of each label that was found."""
        return dict(Counter(found.label for found in self.detections))


def _check_captured(identifier: str, camera: str, seq: int, captured_at: datetime) -> None:
    if not identifier or not camera:
        raise ValueError(f"a frame needs an id and a camera, got {identifier!r} and {camera!r}")
    if seq < 0:
        raise ValueError(f"frame {identifier}: a sequence number counts from 0, got {seq}")
    if captured_at.tzinfo is None:
        raise ValueError(f"frame {identifier}: the capture time {captured_at} has no zone")
