"""TFRecords as Model Garden's `official.vision.dataloaders.tf_example_decoder` reads them: one Example a picture.

They are written without TensorFlow, which takes seconds to load and much memory in each process; it is loaded when
records are read. The bytes of an Example are those of `tf.train.Example` (protocol buffers, proto3), those of a file
the TFRecord format: length, masked CRC-32C of the length, record, masked CRC-32C of the record.
"""

# ruff: noqa: PLC0415

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crc32c import crc32c

from vigie.data.manifest import FileFacts, load_manifest
from vigie.data.parts import Part, Sample
from vigie.data.source import Source
from vigie.domain import Box, LabelledBox
from vigie.errors import BadData
from vigie.pictures import Picture

_BYTES, _FLOATS, _INTS = 1, 2, 3  # the numbers of the fields of tf.train.Feature


def example(source: Source, jpeg: bytes, classes: Sequence[str]) -> bytes:
    """A serialised `tf.train.Example`; boxes as shares of the sides, class ids from 1."""
    boxes = [labelled.box for labelled in source.objects]
    features = {
        "image/encoded": _bytes([jpeg]),
        "image/format": _bytes([b"jpeg"]),
        "image/filename": _bytes([source.path.name.encode()]),
        "image/source_id": _bytes([str(source.source_id).encode()]),
        "image/height": _ints([source.height]),
        "image/width": _ints([source.width]),
        "image/object/bbox/xmin": _floats([box.left / source.width for box in boxes]),
        "image/object/bbox/xmax": _floats([box.right / source.width for box in boxes]),
        "image/object/bbox/ymin": _floats([box.top / source.height for box in boxes]),
        "image/object/bbox/ymax": _floats([box.bottom / source.height for box in boxes]),
        "image/object/class/label": _ints([classes.index(labelled.label) + 1 for labelled in source.objects]),
        "image/object/class/text": _bytes([labelled.label.encode() for labelled in source.objects]),
        "image/object/area": _floats([box.area for box in boxes]),
        "image/object/is_crowd": _ints([0] * len(boxes)),
    }
    return serialised(features)


def serialised(features: Mapping[str, bytes]) -> bytes:
    """An Example of features that are serialised already, in the order of their names, as TensorFlow sorts them."""
    entries = [_field(1, _field(1, name.encode()) + _field(2, feature)) for name, feature in sorted(features.items())]
    return _field(1, b"".join(entries))


def _bytes(values: Iterable[bytes]) -> bytes:
    return _field(_BYTES, b"".join(_field(1, value) for value in values))


def _floats(values: Sequence[float]) -> bytes:
    return _field(_FLOATS, _field(1, struct.pack(f"<{len(values)}f", *values)) if values else b"")


def _ints(values: Sequence[int]) -> bytes:
    return _field(_INTS, _field(1, b"".join(map(_varint, values))) if values else b"")


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content  # 2: its length stands before it


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow. For numbers from 0."""
    if value < 128:
        return bytes((value,))
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def write_shard(path: Path, examples: Iterable[bytes]) -> FileFacts:
    """One record an example; the file has its name once it is whole. Returns its size and checksum."""
    unfinished = path.with_name(f".{path.name}.part")
    whole = hashlib.sha256()
    size = 0
    with unfinished.open("wb") as stream:
        for record in examples:
            length = struct.pack("<Q", len(record))
            for piece in (length + _masked_crc(length), record, _masked_crc(record)):
                stream.write(piece)
                whole.update(piece)
                size += len(piece)
    unfinished.rename(path)
    return FileFacts(bytes=size, sha256=whole.hexdigest())


def _masked_crc(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def read_part(records: Path, part: Part) -> Iterator[Sample]:
    """The samples of a part in the order of its shards. Boxes are right to a hundredth of a pixel.

    Raises:
        BadData: the records are missing, half-made or damaged.
    """
    import tensorflow as tf

    manifest = load_manifest(records)
    for name in manifest.parts[part].shards:
        dataset = tf.data.TFRecordDataset(str(records / name))
        try:
            for record in dataset.as_numpy_iterator():
                yield _sample(tf.train.Example.FromString(record), manifest.classes)
        except tf.errors.DataLossError as error:
            raise BadData(f"{records / name}: is damaged; run `vigie data prepare` (or `make data`) again") from error


def _sample(record: Any, classes: Sequence[str]) -> Sample:
    feature = record.features.feature

    def floats(name: str) -> Sequence[float]:
        values: Sequence[float] = feature[name].float_list.value
        return values

    picture = Picture.from_bytes(feature["image/encoded"].bytes_list.value[0])
    corners = zip(
        floats("image/object/bbox/xmin"), floats("image/object/bbox/ymin"),
        floats("image/object/bbox/xmax"), floats("image/object/bbox/ymax"), strict=True,
    )  # fmt: skip
    width, height = picture.width, picture.height
    boxes = [
        # Records hold shares in single precision: rounding gives whole pixels back.
        Box(round(xmin * width, 2), round(ymin * height, 2), round(xmax * width, 2), round(ymax * height, 2))
        for xmin, ymin, xmax, ymax in corners
    ]
    ids = feature["image/object/class/label"].int64_list.value
    return Sample(
        source_id=int(feature["image/source_id"].bytes_list.value[0]),
        filename=feature["image/filename"].bytes_list.value[0].decode(),
        picture=picture,
        objects=tuple(LabelledBox(classes[number - 1], box) for number, box in zip(ids, boxes, strict=True)),
    )
