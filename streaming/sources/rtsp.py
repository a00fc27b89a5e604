"""A camera on the network, by its rtsp:// address. Its user and password are in no log, error, id or file name."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

import cv2
from pydantic import Field

from vigie.errors import BadSetting, Unavailable
from vigie.pictures import JPEG_QUALITY
from vigie.ports import FrameSource
from vigie.streaming.live import READ_S, LiveSource

SCHEMES = ("rtsp", "rtsps")
OPEN_S = 3.0
_PORTS = {"rtsp": 554, "rtsps": 322}
_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # where OpenCV looks for FFmpeg's options, for lack of a better place
# Without fflags=nobuffer: it opens no sooner, and of a stream with B-frames OpenCV then never gives a picture.
_QUICK = "analyzeduration;200000|probesize;100000"
_SECRET = re.compile(r"pass|pwd|token|key|auth", re.IGNORECASE)
_variable_lock = Lock()


@dataclass(frozen=True)
class Options:
    """`transport`: tcp loses nothing on the way, udp is for cameras that know no other. `fps`: at most so many frames
    a second. `paced`: a camera has its own pace; False takes all that it gives, whatever `fps` says.
    """

    url: str
    transport: Literal["tcp", "udp"] = "tcp"
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    paced: bool = True
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = JPEG_QUALITY


def build(options: Options) -> FrameSource:
    """
    Raises:
        BadSetting: the address is none.
        Unavailable: nothing answers there within `OPEN_S`, or no picture comes.
    """
    parts = _parts(options.url)
    return LiveSource(
        lambda: _opened(options, parts),
        where=public(options.url),
        most_fps=options.fps if options.paced else None,
        jpeg_quality=options.jpeg_quality,
    )


def public(url: str) -> str:
    """The address without user, password and query, and without a path that holds a password, as some cameras want."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "rtsp://..."
    if _split_in_a_password(parts):
        return "rtsp://..."
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    path = "/..." if _SECRET.search(parts.path) else parts.path
    return f"{parts.scheme}://{host}{port}{path}"


def _split_in_a_password(parts: SplitResult) -> bool:
    """A / ? or # in a password ends the host's name too early, and what looks like the host is a part of it."""
    return "@" in parts.path + parts.query + parts.fragment


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        fits = parts.port != 0 and not _split_in_a_password(parts)
    except ValueError:
        fits = False
    if not fits or parts.scheme not in SCHEMES or not parts.hostname:
        raise BadSetting(
            f"{public(url)}: is no address of a camera; write rtsp://USER:PASSWORD@HOST:PORT/PATH, with %2F, %3F, %23 "
            "and %40 for / ? # and @ in a password"
        )
    return parts


def _opened(options: Options, parts: SplitResult) -> cv2.VideoCapture:
    where = public(options.url)
    _check_reached(parts, where)
    wishes = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        round(1000 * OPEN_S),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        round(1000 * READ_S),
    ]
    with _ffmpeg_options(f"rtsp_transport;{options.transport}|{_QUICK}"):
        handle = cv2.VideoCapture(options.url, cv2.CAP_FFMPEG, wishes)
    if not handle.isOpened():
        handle.release()
        raise Unavailable(f"{where}: gives no video within {OPEN_S:.0f} s: {_reason(parts)}")
    return handle


def _check_reached(parts: SplitResult, where: str) -> None:
    try:
        _connected(parts).close()
    except OSError as error:
        reason = "timed out" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise Unavailable(
            f"{where}: the camera does not answer ({reason}); see that it is on, and to its address and port"
        ) from error


def _connected(parts: SplitResult) -> socket.socket:
    return socket.create_connection((parts.hostname or "", parts.port or _PORTS[parts.scheme]), timeout=OPEN_S)


@contextmanager
def _ffmpeg_options(text: str) -> Iterator[None]:
    """OpenCV reads them while it opens; a person's own in the environment win."""
    with _variable_lock:
        given = os.environ.get(_VARIABLE)
        if given is None:
            os.environ[_VARIABLE] = text
        try:
            yield
        finally:
            if given is None:
                del os.environ[_VARIABLE]


def _reason(parts: SplitResult) -> str:
    """OpenCV keeps FFmpeg's to itself: the camera is asked once more, in its own words (RFC 2326)."""
    status = _describe(parts) if parts.scheme == "rtsp" else None
    if status == 404:
        return f"there is no stream {parts.path or '/'} on this camera; see to the path"
    if status == 401:
        return "it wants another user or password" if parts.username else "it wants a user and a password"
    if status is None:
        return "what answers there speaks no RTSP"
    return f"it answers RTSP {status}; see whether it gives H.264 or H.265, and try the option transport=udp"


def _describe(parts: SplitResult) -> int | None:
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    try:
        with _connected(parts) as camera:
            camera.sendall(f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
            answer = camera.recv(64)
    except OSError:
        return None
    words = answer.split(maxsplit=2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"RTSP/") and words[1].isdigit() else None
