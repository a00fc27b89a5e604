"""What a picture looks like, small and in grey, so that pictures can be compared.

A JPEG is decoded by libjpeg-turbo at an eighth to a half of its size: every byte is still read, and whatever it
stumbles on, were it only worth a warning, has the file decoded by Pillow, which then decides.
"""

# ruff: noqa: PLC0415

import struct
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

Grey: TypeAlias = npt.NDArray[np.uint8]
"""Height x width."""

THUMBNAIL_SIDE = 32
THUMBNAIL_BYTES = THUMBNAIL_SIDE * THUMBNAIL_SIDE
_LOW = 8  # frequencies each way
_LEAST_SIDE = 48  # a plain JPEG is decoded at so many eighths of its size as leave this; at 32 twins are told less well
_SHRUNK_SIDE = 128  # the same for Pillow, which knows halves alone

_START_OF_IMAGE = b"\xff\xd8\xff"
_APP1, _APP2, _START_OF_SCAN = 0xFFE1, 0xFFE2, 0xFFDA
_FRAMES = range(0xFFC0, 0xFFC3)  # baseline, extended and progressive, Huffman-coded
_MARKER = struct.Struct(">HH")
_FRAME = struct.Struct(">BHHB")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a picture looks like. `bits` is its 64-bit perceptual hash, `thumbnail` 32 x 32 grey levels."""

    sha256: str
    bits: int
    thumbnail: Grey


def plain_jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG that is surely upright, alone in its file and grey or in colours; None of any other.

    The segments before the first scan are walked through (ITU T.81, B.2). What may tell an orientation (Exif, XMP) or
    of more pictures (MPF) makes no plain one.
    """
    if not encoded.startswith(_START_OF_IMAGE):
        return None
    size = None
    at = 2
    try:
        while True:
            marker, length = _MARKER.unpack_from(encoded, at)
            if marker == _START_OF_SCAN:
                return size
            if marker in _FRAMES and size is None:
                bits, height, width, components = _FRAME.unpack_from(encoded, at + 4)
                if bits != 8 or components not in (1, 3) or not (width and height):
                    return None
                size = width, height
            elif marker < 0xFFC4 or marker == _APP1 or (marker == _APP2 and encoded.startswith(b"MPF\0", at + 4)):
                return None
            at += 2 + length
    except struct.error:
        return None


def plain_jpeg_grey(encoded: bytes) -> Grey | None:
    """A plain JPEG (see above) at a part of its size; None where anything is odd."""
    try:
        grey = simplejpeg.decode_jpeg(encoded, "GRAY", False, False, _LEAST_SIDE, _LEAST_SIDE)
    except ValueError:  # a warning too
        return None
    one_channel: Grey = grey[:, :, 0]
    return one_channel


def small_grey(encoded: bytes) -> Grey:
    """Decode a picture to its end; upright.

    Raises:
        Exception: whatever Pillow's decoders raise where damaged data makes them stumble.
    """
    grey = plain_jpeg_grey(encoded) if plain_jpeg_size(encoded) else None
    if grey is not None:
        return grey
    import io

    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(encoded)) as image:
        image.draft("L", (_SHRUNK_SIDE, _SHRUNK_SIDE))
        image.load()
        return np.asarray(ImageOps.exif_transpose(image).convert("L"))


def thumbnail_of(grey: Grey) -> Grey:
    """32 x 32."""
    thumbnail: Grey = cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return thumbnail


def perceptual_hashes(thumbnails: Grey) -> npt.NDArray[np.uint64]:
    """The 64-bit DCT hash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions") of each.

    A bit is whether one of the 8 x 8 lowest frequencies of the 32 x 32 picture lies above their median. The cosines
    are whole numbers, so that sums are exact, the same on every machine.
    """
    count = len(thumbnails)
    pixels = thumbnails.reshape(count * THUMBNAIL_SIDE, THUMBNAIL_SIDE).astype(np.float64)
    across = (pixels @ _COSINES.T).reshape(count, THUMBNAIL_SIDE, _LOW).transpose(0, 2, 1)
    low = (across.reshape(count * _LOW, THUMBNAIL_SIDE) @ _COSINES.T).reshape(count, _LOW, _LOW)
    rows = low.transpose(0, 2, 1).reshape(count, _LOW * _LOW)
    median = np.partition(rows[:, 1:], 31, axis=1)[:, 31]  # without the mean brightness
    packed = np.packbits(rows > median[:, None], axis=1)
    return packed.view(">u8").ravel().astype(np.uint64)


def perceptual_hash(grey_32: Grey) -> int:
    """That of one thumbnail."""
    return int(perceptual_hashes(grey_32[None])[0])


def _cosines() -> npt.NDArray[np.float64]:
    """Frequencies x pixels; the square of 2^12 times 255 times 1024 is far below 2^53."""
    angles = np.pi / THUMBNAIL_SIDE * np.outer(np.arange(_LOW), np.arange(THUMBNAIL_SIDE) + 0.5)
    scale = np.where(np.arange(_LOW) == 0, np.sqrt(0.5), 1.0)[:, None]
    return np.asarray(np.rint(scale * np.cos(angles) * 4096), np.float64)


_COSINES = _cosines()
