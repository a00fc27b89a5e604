"""Pictures into a video file."""

from pathlib import Path

import cv2

from vigie.errors import Unavailable
from vigie.pictures import Pixels


class VideoFile:
    """MPEG-4: it is written ten times as fast as VP9, and OpenCV brings no H.264 encoder.

    The first picture decides the size; others are stretched to it. Nothing is made before the first one.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._size = (0, 0)
        self._video: cv2.VideoWriter | None = None

    def write(self, rgb: Pixels) -> None:
        """
        Raises:
            Unavailable: the file cannot be written.
        """
        height, width = rgb.shape[:2]
        if self._video is None:
            self._size = (width, height)
            self._video = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size)
            if not self._video.isOpened():
                raise Unavailable(f"{self._path}: OpenCV cannot write a video here; see to the folder and its disk")
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        self._video.write(bgr if (width, height) == self._size else cv2.resize(bgr, self._size))

    def close(self) -> None:
        if self._video is not None:
            self._video.release()
