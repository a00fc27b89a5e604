"""Pictures as they stand: size, checksum and fingerprint of those that can be decoded, the problem of the others."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from vigie.data.doctor.label_files import Problem
from vigie.errors import BadPicture
from vigie.pictures import MAX_PIXELS, Picture

MAX_BYTES = 100_000_000
THUMBNAIL_SIDE = 32
_ANY_SIZE = 1 << 62  # so that the size of a giant is known, and its boxes are judged
_SHRUNK_SIDE = 128  # a JPEG is decoded at an eighth to a half of its size down to this: every byte is still read


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a picture looks like. `bits` is its 64-bit perceptual hash, `thumbnail` 32 x 32 grey levels."""

    sha256: str
    bits: int
    thumbnail: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One picture; width and height are those after turning it by its EXIF orientation."""

    name: str
    size: tuple[int, int] | None = None
    turned: bool = False
    fingerprint: Fingerprint | None = None
    problem: Problem | None = None

    def lies_at(self, size: tuple[int, int] | None) -> bool:
        """True where `size` is the picture's as it is stored, lying on its side."""
        return self.turned and self.size is not None and size == self.size[::-1] != self.size


def read_picture_file(path: Path, name: str) -> PictureFile:
    """Decode a picture to its end; `name` is the file's in messages. A giant one is refused by its header."""
    encoded = _content(path)
    if isinstance(encoded, Problem):
        return PictureFile(name, problem=encoded)
    try:
        picture = Picture.from_bytes(encoded, max_pixels=_ANY_SIZE)
    except BadPicture as error:
        giant = isinstance(error.__cause__, Image.DecompressionBombError)
        return PictureFile(name, problem=Problem("picture-too-large" if giant else "picture-corrupt", str(error)))
    size = (picture.width, picture.height)
    if picture.width * picture.height > MAX_PIXELS:
        found = f"{size[0]}x{size[1]} pixels, over the limit of {MAX_PIXELS}"
        return PictureFile(name, size, picture.turned, problem=Problem("picture-too-large", found))
    try:
        grey = _small_grey(encoded)
    except BadPicture as error:
        return PictureFile(name, size, picture.turned, problem=Problem("picture-truncated", str(error)))
    return PictureFile(name, size, picture.turned, _fingerprint(encoded, grey))


def _content(path: Path) -> bytes | Problem:
    try:
        length = path.stat().st_size
        if length > MAX_BYTES:
            return Problem("picture-too-large", f"{length} bytes, over the limit of {MAX_BYTES}")
        return path.read_bytes() or Problem("picture-empty", "the file is empty")
    except OSError as error:
        return Problem("picture-unreadable", f"it cannot be read: {error.strerror}")


def _small_grey(encoded: bytes) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.draft("L", (_SHRUNK_SIDE, _SHRUNK_SIDE))
            image.load()
            return np.asarray(ImageOps.exif_transpose(image).convert("L"))
    except Exception as error:  # Pillow's decoders raise whatever damaged data makes them stumble on
        raise BadPicture(f"it cannot be decoded to its end: {error}") from error


def _fingerprint(encoded: bytes, grey: npt.NDArray[np.uint8]) -> Fingerprint:
    shrunk = cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    thumbnail = np.asarray(shrunk, np.uint8)
    return Fingerprint(hashlib.sha256(encoded).hexdigest(), perceptual_hash(thumbnail), thumbnail)


def perceptual_hash(grey_32: npt.NDArray[np.uint8]) -> int:
    """The 64-bit DCT hash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions").

    A bit is whether one of the 8 x 8 lowest frequencies of the 32 x 32 picture lies above their median.
    """
    low = cv2.dct(grey_32.astype(np.float32))[:8, :8].ravel()
    above = low > np.median(low[1:])  # without the mean brightness
    return int.from_bytes(np.packbits(above).tobytes(), "big")
