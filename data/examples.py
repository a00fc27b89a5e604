"""The bytes of a `tf.train.Example` (protocol buffers, proto3) and of its place in a TFRecord file, without TensorFlow,
which takes seconds to load and much memory in each process.

The features are those that Model Garden's `official.vision.dataloaders.tf_example_decoder` reads. A TFRecord file is,
for each record, its length, the masked CRC-32C of that, the record and its masked CRC-32C.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from crc32c import crc32c

Corners: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels from 0."""

_BYTES, _FLOATS, _INTS = 0x0A, 0x12, 0x1A  # the fields of tf.train.Feature: 1, 2 and 3, each of a length
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")


def example(
    jpeg: bytes,
    *,
    filename: str,
    number: int,
    width: int,
    height: int,
    labels: Sequence[bytes],
    ids: Sequence[int],
    corners: Sequence[Corners],
) -> bytes:
    """A serialised Example; boxes become shares of the sides. Features stand in the order of their names, as
    TensorFlow sorts them where it is asked for the same bytes each time."""
    lefts, tops, rights, bottoms = zip(*corners, strict=True) if corners else ((), (), (), ())
    pieces = [
        _start(b"image/encoded", _BYTES, 1 + len(_varint(len(jpeg))) + len(jpeg)), b"\n", _varint(len(jpeg)), jpeg,
        _bytes(b"image/filename", _item(filename.encode())),
        _bytes(b"image/format", b"\n\x04jpeg"),
        _ints(b"image/height", _varint(height)),
        _floats(b"image/object/area", [(r - l) * (b - t) for l, t, r, b in corners]),  # noqa: E741
        _floats(b"image/object/bbox/xmax", [right / width for right in rights]),
        _floats(b"image/object/bbox/xmin", [left / width for left in lefts]),
        _floats(b"image/object/bbox/ymax", [bottom / height for bottom in bottoms]),
        _floats(b"image/object/bbox/ymin", [top / height for top in tops]),
        _ints(b"image/object/class/label", b"".join(map(_varint, ids))),
        _bytes(b"image/object/class/text", b"".join(map(_item, labels))),
        _ints(b"image/object/is_crowd", bytes(len(ids))),
        _bytes(b"image/source_id", _item(b"%d" % number)),
        _ints(b"image/width", _varint(width)),
    ]  # fmt: skip
    return b"".join((b"\n", _varint(sum(map(len, pieces))), *pieces))


def framed(record: bytes) -> bytes:
    """A record as it stands in a file."""
    length = _LENGTH.pack(len(record))
    return b"".join((length, _masked_crc(length), record, _masked_crc(record)))


def _bytes(name: bytes, content: bytes) -> bytes:
    return _start(name, _BYTES, len(content)) + content


def _floats(name: bytes, values: Sequence[float]) -> bytes:
    if not values:
        return _start(name, _FLOATS, 0)
    packed = struct.pack(f"<{len(values)}f", *values)
    start = b"\n" + _varint(len(packed))
    return _start(name, _FLOATS, len(start) + len(packed)) + start + packed


def _ints(name: bytes, varints: bytes) -> bytes:
    content = _item(varints) if varints else b""
    return _start(name, _INTS, len(content)) + content


@lru_cache(4096)
def _start(name: bytes, kind: int, length: int) -> bytes:
    """What stands before the content of a feature: an entry of the map, its key, and the feature's kind and length."""
    feature = bytes((kind,)) + _varint(length)
    key = _item(name) + b"\x12" + _varint(len(feature) + length)
    return b"\n" + _varint(len(key) + len(feature) + length) + key + feature


def _item(content: bytes) -> bytes:
    return b"\n" + _varint(len(content)) + content  # field 1, of a length


@lru_cache(4096)
def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow. For numbers from 0."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _masked_crc(content: bytes) -> bytes:
    crc = crc32c(content)
    return _CRC.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
