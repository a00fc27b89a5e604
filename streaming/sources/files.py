"""Pictures and videos on the disk, as if they were a camera."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from threading import Event
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from vigie.errors import BadPicture, BadSetting
from vigie.pictures import JPEG_QUALITY, Picture, encode_jpeg
from vigie.ports import Capture, FrameSource
from vigie.streaming.folder import PICTURES, arriving, pictures_in
from vigie.streaming.pacing import Pace

logger = logging.getLogger(__name__)

# OpenCV opens even a text file as a video, so the name decides.
VIDEOS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})
LOOPED_PICTURES_FPS = 5.0  # without a pace a loop over pictures would fill the bus as fast as the disk reads
USUAL_FPS = 25.0


@dataclass(frozen=True)
class Options:
    """`fps`: frames a second; by default pictures come as fast as possible and a video at its own rate.

    `watch`: go on with the pictures that are added to the folder. `loop`: begin again at the end.
    `paced`: False reads everything as fast as possible, whatever `fps` says.
    """

    path: Path
    watch: bool = False
    loop: bool = False
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    paced: bool = True
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = JPEG_QUALITY


def build(options: Options) -> FrameSource:
    """
    Raises:
        BadSetting: nothing is there, a folder without pictures, a video without a frame, or an unknown kind of file.
    """
    path = options.path
    if not path.exists():
        raise BadSetting(f"{path}: there is no such file or folder; name a picture, a folder of pictures or a video")
    if options.watch and (options.loop or not path.is_dir()):
        raise BadSetting(f"{path}: watch goes with a folder and without loop")
    if path.is_dir():
        pictures = pictures_in(path)
        if not pictures and not options.watch:
            raise BadSetting(f"{path}: no picture in this folder; expected {', '.join(sorted(PICTURES))}")
        return PictureFiles(pictures, options)
    if path.suffix.lower() in PICTURES:
        return PictureFiles([path], options)
    if path.suffix.lower() in VIDEOS:
        return VideoFile(options)
    known = ", ".join(sorted(PICTURES | VIDEOS))
    raise BadSetting(f"{path}: {path.suffix or 'a file without an ending'} is no known kind; expected {known}")


class PictureFiles:
    """JPEG files keep their bytes, other kinds are encoded once; what is no picture is passed on as it is."""

    def __init__(self, paths: list[Path], options: Options) -> None:
        self._paths = paths
        self._options = options
        self._closed = Event()

    @property
    def epoch(self) -> str:
        # The id of a frame also holds a hash of its bytes, so the name is enough.
        return f"files:{self._options.path.name}"

    @property
    def length(self) -> int | None:
        return None if self._options.loop or self._options.watch else len(self._paths)

    def path_of(self, seq: int) -> Path:
        """The file behind a capture; not for a watched folder."""
        return self._paths[seq % len(self._paths)]

    def captures(self) -> Iterator[Capture]:
        pace = Pace(self._fps(), self._closed)
        for seq, path in enumerate(self._files()):
            if not pace.wait():
                return
            yield Capture(seq, datetime.now(UTC), self._encoded(path))

    def close(self) -> None:
        self._closed.set()

    def _fps(self) -> float | None:
        if not self._options.paced:
            return None
        return self._options.fps or (LOOPED_PICTURES_FPS if self._options.loop else None)

    def _files(self) -> Iterator[Path]:
        if self._options.watch:
            return arriving(self._options.path, self._closed)
        return cycle(self._paths) if self._options.loop else iter(self._paths)

    def _encoded(self, path: Path) -> bytes:
        try:
            encoded = path.read_bytes()
        except OSError as error:
            logger.warning("%s cannot be read: %s; it goes on as an empty picture", path, error.strerror)
            return b""
        try:
            picture = Picture.from_bytes(encoded)
            if picture.format == "jpeg" and not picture.turned:
                return encoded
            return encode_jpeg(picture.rgb(), self._options.jpeg_quality)
        except BadPicture as error:
            logger.warning("%s: %s; it goes on as it is", path, error)
            return encoded


class VideoFile:
    """Every frame of a video, encoded once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._closed = Event()
        video = self._open()
        self.fps: float = options.fps or _own_fps(video)
        self._frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        readable = video.read()[0]
        video.release()
        if not readable:
            raise BadSetting(f"{options.path}: not a single frame can be read from this video")

    @property
    def epoch(self) -> str:
        return f"files:{self._options.path.name}"

    @property
    def length(self) -> int | None:
        """As the file's header claims."""
        return None if self._options.loop or self._frames <= 0 else self._frames

    def captures(self) -> Iterator[Capture]:
        pace = Pace(self.fps if self._options.paced else None, self._closed)
        for seq, bgr in enumerate(self._pictures()):
            if not pace.wait():
                return
            rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            yield Capture(seq, datetime.now(UTC), encode_jpeg(rgb, self._options.jpeg_quality))

    def close(self) -> None:
        self._closed.set()

    def _pictures(self) -> Iterator[cv2.typing.MatLike]:
        while True:
            video = self._open()
            try:
                while (read := video.read())[0]:
                    yield read[1]
            finally:
                video.release()
            if not self._options.loop:
                return

    def _open(self) -> cv2.VideoCapture:
        video = cv2.VideoCapture(str(self._options.path))
        if not video.isOpened():
            raise BadSetting(f"{self._options.path}: this video is empty, damaged or of an unknown kind")
        return video


def _own_fps(video: cv2.VideoCapture) -> float:
    fps = float(video.get(cv2.CAP_PROP_FPS))
    return fps if 0 < fps <= 1000 else USUAL_FPS
