"""FlatBuffers without a generated schema: tables of numbered fields, and a model file that one more is put into.

The layout of both is in FlatBuffers' internals (https://flatbuffers.dev/internals/); which number a field has follows
from its place in the schema, from 0, where a union counts as two: its type, then its value.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import flatbuffers
from flatbuffers import encode, number_types, packer
from flatbuffers.table import Table as _StoredTable

from vigie.errors import BadBundle

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # of weights in a model file
_METADATA_NAME = "TFLITE_METADATA"
_SUBGRAPH_OUTPUTS = 4 + 2 * 2  # field 2 of `SubGraph`


@dataclass(frozen=True, slots=True)
class Byte:
    """One byte: an enumeration's number, or the type of a union."""

    value: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number of four bytes, not below 0."""

    value: int


@dataclass(frozen=True, slots=True)
class Floats:
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Wholes:
    values: Sequence[int]


Value: TypeAlias = "Byte | Whole | Floats | Wholes | str | Table | Sequence[str] | Sequence[Table]"


@dataclass(frozen=True, slots=True)
class Table:
    """Field number -> value; a field left out has its default."""

    fields: Mapping[int, Value]


def to_bytes(root: Table, identifier: bytes) -> bytes:
    """A whole FlatBuffer of which `root` is the root table; `identifier` are four bytes."""
    builder = flatbuffers.Builder()
    builder.Finish(_put_table(builder, root), identifier)
    return bytes(builder.Output())


def with_metadata(model: bytes, metadata: bytes) -> bytes:
    """A TensorFlow Lite model with a further entry, TFLITE_METADATA, in its list of metadata.

    The model given stays as it is, byte by byte and as well aligned, behind a new root that points into it.

    Raises:
        BadBundle: it is no TensorFlow Lite model.
    """
    old = _root(bytearray(model))
    builder = flatbuffers.Builder(len(model) + len(metadata) + 4096)
    start = _put_bytes(builder, model)
    entry_buffer = _put_buffer(builder, metadata)
    buffers = [start - place for place in _vector(old, _Model.BUFFERS)]
    entry = _put_table(builder, Table({0: _METADATA_NAME, 1: Whole(len(buffers))}))
    entries = [start - place for place in _vector(old, _Model.METADATA)]
    replaced = {
        _Model.BUFFERS: _put_offsets(builder, [*buffers, entry_buffer]),
        _Model.METADATA: _put_offsets(builder, [*entries, entry]),
    }
    builder.StartObject(_Model.FIELDS)
    version = old.Get(number_types.Uint32Flags, old.Pos + old.Offset(4)) if old.Offset(4) else 0
    builder.PrependUint32Slot(_Model.VERSION, version, 0)
    for field in range(_Model.VERSION + 1, _Model.FIELDS):
        if field in replaced:
            builder.PrependUOffsetTRelativeSlot(field, replaced[field], 0)
        elif offset := old.Offset(4 + 2 * field):
            builder.PrependUOffsetTRelativeSlot(field, start - old.Indirect(old.Pos + offset), 0)
    builder.Finish(builder.EndObject(), _IDENTIFIER)
    return bytes(builder.Output())


def with_outputs(model: bytes, tensors: Sequence[int]) -> bytes:
    """The same model that gives its outputs in the order of these tensors, which are numbered as in its first graph.

    Raises:
        BadBundle: it is no TensorFlow Lite model, or these are not its outputs.
    """
    changed = bytearray(model)
    graph = _StoredTable(changed, _vector(_root(changed), _Model.SUBGRAPHS)[0])
    offset = graph.Offset(_SUBGRAPH_OUTPUTS)
    first, count = graph.Vector(offset), graph.VectorLen(offset)
    layout = struct.Struct(f"<{count}i")
    outputs = layout.unpack_from(changed, first)
    if sorted(outputs) != sorted(tensors):
        raise BadBundle(f"the model gives the tensors {sorted(outputs)}, it was to give {sorted(tensors)}")
    layout.pack_into(changed, first, *tensors)
    return bytes(changed)


def _root(model: bytearray) -> Any:
    if model[4:8] != _IDENTIFIER:
        found = bytes(model[4:8])
        raise BadBundle(f"a TensorFlow Lite model has {_IDENTIFIER!r} in its bytes 4 to 7, this one {found!r}")
    return _StoredTable(model, encode.Get(packer.uoffset, model, 0))


class _Model:
    """Field numbers of `Model` in TensorFlow Lite's schema, version 3; all but the version are offsets."""

    VERSION, OPERATOR_CODES, SUBGRAPHS, DESCRIPTION, BUFFERS, METADATA_BUFFER, METADATA, SIGNATURES = range(8)
    FIELDS = 8


def _vector(table: Any, field: int) -> list[int]:
    """Where the tables of a vector stand."""
    offset = table.Offset(4 + 2 * field)
    if not offset:
        return []
    first = table.Vector(offset)
    return [table.Indirect(first + 4 * number) for number in range(table.VectorLen(offset))]


def _put_bytes(builder: Any, content: bytes) -> int:
    """Where the content starts, counted from the end as the builder counts."""
    builder.StartVector(1, len(content), _ALIGNMENT)
    builder.head -= len(content)
    builder.Bytes[builder.head : builder.head + len(content)] = content
    return int(builder.EndVector()) - 4  # less the length that stands before it


def _put_buffer(builder: Any, content: bytes) -> int:
    vector = _put_bytes(builder, content) + 4
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    return int(builder.EndObject())


def _put_offsets(builder: Any, places: Sequence[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _put_table(builder: Any, table: Table) -> int:
    # What a table points to stands before it in the builder, which writes from the end to the start.
    children = {
        field: _put(builder, value) for field, value in table.fields.items() if not isinstance(value, (Byte, Whole))
    }
    builder.StartObject(max(table.fields, default=-1) + 1)
    for field, value in table.fields.items():
        if isinstance(value, Byte):
            builder.PrependUint8Slot(field, value.value, 0)
        elif isinstance(value, Whole):
            builder.PrependUint32Slot(field, value.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, children[field], 0)
    return int(builder.EndObject())


def _put(builder: Any, value: Floats | Wholes | str | Table | Sequence[str] | Sequence[Table]) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Table):
        return _put_table(builder, value)
    if isinstance(value, (Floats, Wholes)):
        put = builder.PrependFloat32 if isinstance(value, Floats) else builder.PrependUint32
        builder.StartVector(4, len(value.values), 4)
        for number in reversed(value.values):
            put(number)
        return int(builder.EndVector())
    return _put_offsets(builder, [_put(builder, item) for item in value])
