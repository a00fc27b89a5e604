"""Pictures as they stand: size, checksum and fingerprint of those that can be decoded, the problem of the others."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vigie.data.doctor.label_files import Problem
from vigie.data.looks import Fingerprint, Grey, perceptual_hash, small_grey, thumbnail_of
from vigie.errors import BadPicture
from vigie.pictures import MAX_PIXELS, Picture

MAX_BYTES = 100_000_000
_ANY_SIZE = 1 << 62  # so that the size of a giant is known, and its boxes are judged


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
        grey = _decoded(encoded)
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


def _decoded(encoded: bytes) -> Grey:
    try:
        return small_grey(encoded)
    except Exception as error:  # Pillow's decoders raise whatever damaged data makes them stumble on
        raise BadPicture(f"it cannot be decoded to its end: {error}") from error


def _fingerprint(encoded: bytes, grey: Grey) -> Fingerprint:
    thumbnail = thumbnail_of(grey)
    return Fingerprint(hashlib.sha256(encoded).hexdigest(), perceptual_hash(thumbnail), thumbnail)
