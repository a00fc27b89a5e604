"""A camera at this machine, by its number."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
from pydantic import Field

from vigie.errors import Unavailable
from vigie.pictures import JPEG_QUALITY
from vigie.ports import FrameSource
from vigie.streaming.live import LiveSource

DEVICES = Path("/dev")


@dataclass(frozen=True)
class Options:
    """`width`, `height`: what the camera is asked for; it may give another size. `fps`: at most so many a second.

    `paced`: a camera has its own pace; False takes all that it gives, whatever `fps` says.
    """

    device: Annotated[int, Field(ge=0, le=255)] = 0
    width: Annotated[int, Field(ge=16, le=16384)] | None = None
    height: Annotated[int, Field(ge=16, le=16384)] | None = None
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    paced: bool = True
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = JPEG_QUALITY


def build(options: Options) -> FrameSource:
    """
    Raises:
        Unavailable: there is no such camera, or it gives no picture.
    """
    return LiveSource(
        lambda: _opened(options),
        where=f"camera {options.device}",
        most_fps=options.fps if options.paced else None,
        jpeg_quality=options.jpeg_quality,
    )


def _opened(options: Options) -> cv2.VideoCapture:
    if sys.platform == "linux":
        _check_device(options.device)
        handle = cv2.VideoCapture(options.device, cv2.CAP_V4L2)
    else:
        handle = cv2.VideoCapture(options.device)
    for wish, value in ((cv2.CAP_PROP_FRAME_WIDTH, options.width), (cv2.CAP_PROP_FRAME_HEIGHT, options.height)):
        if value is not None:
            handle.set(wish, value)
    if not handle.isOpened():
        handle.release()
        raise Unavailable(
            f"camera {options.device}: is there and cannot be opened; see whether another program uses it, and whether "
            "this user may (group video)"
        )
    return handle


def _check_device(number: int) -> None:
    if (DEVICES / f"video{number}").exists():
        return
    there = sorted(int(path.name[5:]) for path in DEVICES.glob("video*") if path.name[5:].isdigit())
    raise Unavailable(
        f"camera {number}: there is no {DEVICES / f'video{number}'}; "
        + (f"cameras here: {', '.join(map(str, there))}" if there else "this machine has no camera; plug one in, ")
        + ("" if there else "or name an rtsp:// address")
    )
