"""A camera that is drawn: cartoon faces that move, the same for the same seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from threading import Event
from typing import Annotated

from pydantic import Field

from vigie.cartoons import MovingScene
from vigie.pictures import JPEG_QUALITY, encode_jpeg
from vigie.ports import Capture, FrameSource
from vigie.streaming.pacing import Pace


@dataclass(frozen=True)
class Options:
    """`frames`: end after so many; by default never. `paced`: False draws as fast as possible."""

    seed: Annotated[int, Field(ge=0)] = 1
    width: Annotated[int, Field(ge=64, le=4096)] = 640
    height: Annotated[int, Field(ge=64, le=4096)] = 480
    fps: Annotated[float, Field(gt=0, le=1000)] = 10.0
    faces: Annotated[int, Field(ge=1, le=12)] = 3
    frames: Annotated[int, Field(ge=1)] | None = None
    paced: bool = True
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = JPEG_QUALITY


def build(options: Options) -> FrameSource:
    return SyntheticCamera(options)


class SyntheticCamera:
    """`MovingScene(seed, width, height, faces).truth(seq)` tells what is on the capture with that `seq`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._closed = Event()
        self.fps = options.fps

    @property
    def epoch(self) -> str:
        options = self._options
        return f"synthetic:{options.seed}:{options.width}x{options.height}:{options.faces}"

    @property
    def length(self) -> int | None:
        return self._options.frames

    def captures(self) -> Iterator[Capture]:
        options = self._options
        scene = MovingScene(options.seed, options.width, options.height, options.faces)
        pace = Pace(options.fps if options.paced else None, self._closed)
        for seq in count() if options.frames is None else range(options.frames):
            if not pace.wait():
                return
            rgb, _ = scene.at(seq)
            yield Capture(seq, datetime.now(UTC), encode_jpeg(rgb, options.jpeg_quality))

    def close(self) -> None:
        self._closed.set()
