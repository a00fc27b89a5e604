"""The bytes of a `tf.train.Example` (protocol buffers, proto3) and of its place in a TFRecord file, without TensorFlow,
which takes seconds to load and much memory in each process.

The features are those that Model Garden's `official.vision.dataloaders.tf_example_decoder` reads. A TFRecord file is,
for each record, its length, the masked CRC-32C of that, the record and its masked CRC-32C.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
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
    size = len(jpeg)
    count = len(corners)
    shares = _shares(corners, width, height)
    pieces = [
        _start(b"image/encoded", _BYTES, 1 + len(_varint(size)) + size), b"\n", _varint(size), jpeg,
        _bytes(b"image/filename", _item(filename.encode())),
        b"".join(chain((_after_name(height),), *zip(_before_floats(count), shares, strict=True))),
        _objects(tuple(labels), tuple(ids)),
        _bytes(b"image/source_id", _item(b"%d" % number)),
        _after_number(width),
    ]  # fmt: skip
    return b"".join((b"\n", _varint(sum(map(len, pieces))), *pieces))


def framed(record: bytes) -> bytes:
    """A record as it stands in a file."""
    length = _LENGTH.pack(len(record))
    return b"".join((length, _masked_crc(length), record, _masked_crc(record)))


@lru_cache(4096)
def _after_name(height: int) -> bytes:
    return _bytes(b"image/format", b"\n\x04jpeg") + _ints(b"image/height", _varint(height))


@lru_cache(4096)
def _objects(labels: tuple[bytes, ...], ids: tuple[int, ...]) -> bytes:
    return b"".join((
        _ints(b"image/object/class/label", b"".join(map(_varint, ids))),
        _bytes(b"image/object/class/text", b"".join(map(_item, labels))),
        _ints(b"image/object/is_crowd", bytes(len(ids))),
    ))  # fmt: skip


@lru_cache(4096)
def _after_number(width: int) -> bytes:
    return _ints(b"image/width", _varint(width))


_FLOAT_NAMES = (
    b"image/object/area", b"image/object/bbox/xmax", b"image/object/bbox/xmin", b"image/object/bbox/ymax",
    b"image/object/bbox/ymin",
)  # fmt: skip


def _shares(corners: Sequence[Corners], width: int, height: int) -> list[bytes]:
    """The packed numbers of each of the features above."""
    values = [(right - left) * (bottom - top) for left, top, right, bottom in corners]
    values += [right / width for _, _, right, _ in corners]
    values += [left / width for left, _, _, _ in corners]
    values += [bottom / height for _, _, _, bottom in corners]
    values += [top / height for _, top, _, _ in corners]
    packed = struct.pack(f"<{len(values)}f", *values)
    each = 4 * len(corners)
    return [packed[each * place : each * (place + 1)] for place in range(len(_FLOAT_NAMES))]


@lru_cache(4096)
def _before_floats(count: int) -> list[bytes]:
    """What stands before the packed numbers of each of the features above."""
    head = b"\n" + _varint(4 * count) if count else b""
    return [_start(name, _FLOATS, len(head) + 4 * count) + head for name in _FLOAT_NAMES]


def _bytes(name: bytes, content: bytes) -> bytes:
    return _start(name, _BYTES, len(content)) + content


def _ints(name: bytes, varints: bytes) -> bytes:
    content = _item(varints) if varints else b""
    return _start(name, _INTS, len(content)) + content


def _start(name: bytes, kind: int, length: int) -> bytes:
    """What stands before the content of a feature: an entry of the map, its key, and the feature's kind and length."""
    feature = bytes((kind,)) + _varint(length)
    key = _item(name) + b"\x12" + _varint(len(feature) + length)
    return b"\n" + _varint(len(key) + len(feature) + length) + key + feature


def _item(content: bytes) -> bytes:
    return b"\n" + _varint(len(content)) + content  # field 1, of a length


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow. For numbers from 0."""
    if value < 1 << 7:
        return bytes((value,))
    if value < 1 << 14:
        return bytes((value & 127 | 128, value >> 7))
    return bytes((value & 127 | 128,)) + _varint(value >> 7)


def _masked_crc(content: bytes) -> bytes:
    crc = crc32c(content)
    return _CRC.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
