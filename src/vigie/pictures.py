"""What a detector takes: a picture that knows its size and is decoded late, once."""

import io
import struct
import time
from pathlib import Path
from typing import Self, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from vigie.errors import BadPicture

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""Height x width x 3, RGB."""

MAX_PIXELS = 50_000_000  # 150 MB of RGB; a header that claims more is refused before anything is decoded
JPEG_QUALITY = 90
REDUCE_FROM = 4
"""Where frames are drawn on if something is found: a half a side saves a third of the decoding, and a frame with
findings is decoded once more, whole. That is worth it from a quarter on, which saves more, of larger frames."""
# A JPEG is decoded to these shares of its sides by leaving out frequencies: the fewer, the quicker.
_REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
}
_START, _MARKER = b"\xff\xd8", b"\xff"
_START_OF_FRAME, _START_OF_SCAN = (b"\xc0", b"\xc1", b"\xc2"), b"\xda"
_FRAME = struct.Struct(">BHHB")  # bits a sample, height, width, components
# Quantisation and Huffman tables, restart interval, JFIF, a comment: none of them turns a picture or its colours.
_PLAIN_SEGMENTS = (b"\xdb", b"\xc4", b"\xdd", b"\xe0", b"\xfe")
_EXIF_ORIENTATION = 0x0112
_EXIF_TRANSPOSED = range(5, 9)  # the orientations that swap width and height


class Picture:
    """An encoded picture or its pixels, with the size that its boxes are measured in.

    A picture with an EXIF orientation is seen upright: `width` and `height` are those after turning it. With
    `reduce_from` 2, 4 or 8 `rgb_for` may give that many times fewer pixels a side, or yet fewer; with 0 it gives all.
    `decode_s` are the seconds that decoding took so far.
    """

    __slots__ = ("_encoded", "_pixels", "cmyk", "decode_s", "format", "height", "reduce_from", "turned", "width")

    def __init__(
        self,
        width: int,
        height: int,
        *,
        encoded: bytes | None = None,
        pixels: Pixels | None = None,
        format: str = "",
        turned: bool = False,
        cmyk: bool = False,
        reduce_from: int = 0,
    ) -> None:
        self.width = width
        self.height = height
        self.format = format
        self.turned = turned
        self.cmyk = cmyk
        self.reduce_from = reduce_from
        self.decode_s = 0.0
        self._encoded = encoded
        self._pixels = pixels

    @classmethod
    def from_bytes(cls, encoded: bytes, *, max_pixels: int = MAX_PIXELS, reduce_from: int = 0) -> Self:
        """Read the header alone.

        Raises:
            BadPicture: it is empty, no picture, or claims more than `max_pixels`.
        """
        if not encoded:
            raise BadPicture("the picture is empty (0 bytes)")
        plain = _size_of_plain_jpeg(encoded)
        if plain is not None:
            _refuse_giants(*plain, max_pixels)
            return cls(*plain, encoded=encoded, format="jpeg", reduce_from=reduce_from)
        try:
            with Image.open(io.BytesIO(encoded)) as header:
                width, height = header.size
                kind = (header.format or "").lower()
                cmyk = header.mode == "CMYK"
                # Not header.getexif(): for a PNG that decodes the whole picture, to look behind it.
                orientation = int(Image.Image.getexif(header).get(_EXIF_ORIENTATION, 1))
        except UnidentifiedImageError as error:
            raise BadPicture(f"not a picture: its {len(encoded)} bytes start with {encoded[:8]!r}") from error
        except Exception as error:  # Pillow's parsers raise whatever a malformed header makes them stumble on
            raise BadPicture(f"the header of the picture cannot be read: {error}") from error
        _refuse_giants(width, height, max_pixels)
        if orientation in _EXIF_TRANSPOSED and kind != "tiff":  # of which Pillow tells the turned size already
            width, height = height, width
        turned = orientation not in (0, 1)
        return cls(width, height, encoded=encoded, format=kind, turned=turned, cmyk=cmyk, reduce_from=reduce_from)

    @classmethod
    def from_file(cls, path: Path, *, max_pixels: int = MAX_PIXELS) -> Self:
        """Like `from_bytes`; the error names the file."""
        try:
            return cls.from_bytes(path.read_bytes(), max_pixels=max_pixels)
        except OSError as error:
            raise BadPicture(f"{path}: cannot be read: {error.strerror}") from error
        except BadPicture as error:
            raise BadPicture(f"{path}: {error}") from error

    @classmethod
    def from_pixels(cls, rgb: Pixels) -> Self:
        height, width = rgb.shape[:2]
        return cls(width, height, pixels=rgb)

    def rgb(self) -> Pixels:
        """The decoded pixels, kept for the next call.

        Raises:
            BadPicture: the header was fine and the rest is not.
        """
        if self._pixels is None:
            self._pixels = self._decoded(cv2.IMREAD_COLOR_RGB)
        return self._pixels

    def taken_rgb(self) -> Pixels:
        """As `rgb`, pixels that the caller may write to; who asks next gets others."""
        taken = self.rgb()
        if self._encoded is None:
            return taken.copy()
        self._pixels = None
        return taken

    def rgb_for(self, width: int, height: int) -> Pixels:
        """Pixels to be resized to `width` x `height`: all, or of a JPEG that may be reduced a half, a quarter or an
        eighth a side, never fewer than asked for on either. The fewer are not kept.

        Raises:
            BadPicture: as `rgb`.
        """
        if self._pixels is None and self.reduce_from and self.format == "jpeg" and not self.cmyk:
            for share, flags in _REDUCED.items():
                if share >= self.reduce_from and self.width >= width * share and self.height >= height * share:
                    return self._decoded(flags)
        return self.rgb()

    def _decoded(self, flags: int) -> Pixels:
        if self._encoded is None:
            raise BadPicture("the picture has neither bytes nor pixels")
        start = time.perf_counter()
        # OpenCV turns the picture by its EXIF orientation, as the size above expects.
        rgb = cv2.imdecode(np.frombuffer(self._encoded, np.uint8), flags)
        self.decode_s += time.perf_counter() - start
        if rgb is None:
            raise BadPicture(f"a {self.format} picture of {self.width}x{self.height} that cannot be decoded")
        return np.asarray(rgb, dtype=np.uint8)

    @property
    def is_plain_jpeg(self) -> bool:
        """Whether its bytes can be shown as they are: an upright JPEG in grey or colours."""
        return self._encoded is not None and self.format == "jpeg" and not (self.turned or self.cmyk)

    def jpeg(self) -> bytes:
        """The bytes as they came if they are a plain JPEG, otherwise encoded anew."""
        if self._encoded is not None and self.is_plain_jpeg:
            return self._encoded
        return encode_jpeg(self.rgb())


def _refuse_giants(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise BadPicture(f"the picture has {width}x{height} pixels, over the limit of {max_pixels}")


def _size_of_plain_jpeg(encoded: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG in grey or colours, whole up to its picture data, that carries no EXIF: what cameras
    send. Pillow, which reads all others, takes ten times as long, on a small model a fiftieth of a frame's time.

    By ITU-T T.81, annex B.
    """
    size = None
    place = len(_START)
    while encoded.startswith(_START) and encoded[place : place + 1] == _MARKER:
        kind = encoded[place + 1 : place + 2]
        length = int.from_bytes(encoded[place + 2 : place + 4])
        segment = encoded[place + 4 : place + 2 + length]
        if not length or len(segment) != length - 2:
            return None
        if kind == _START_OF_SCAN:
            return size
        if kind in _START_OF_FRAME and size is None and length > _FRAME.size:
            bits, height, width, components = _FRAME.unpack_from(segment)
            if bits != 8 or components not in (1, 3) or not (width and height):
                return None
            size = width, height
        elif kind not in _PLAIN_SEGMENTS:
            return None
        place += 2 + length
    return None


def encode_jpeg(rgb: Pixels, quality: int = JPEG_QUALITY) -> bytes:
    """`quality` from 1 to 100."""
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise BadPicture(f"pixels of shape {rgb.shape} cannot be encoded as JPEG")
    return encoded.tobytes()
