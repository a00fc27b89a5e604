"""TensorFlow Lite metadata: what a file says of its input and outputs, and the files in the zip at its end.

By the schema of github.com/tensorflow/tflite-support, `metadata_schema.fbs`.
"""

import logging
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers, number_types
from flatbuffers.table import Table

from vigie.foreign.labels import rows_in
from vigie.resizing import Triple

logger = logging.getLogger(__name__)

_METADATA = b"TFLITE_METADATA"
_POSTPROCESS_OP = b"TFLite_Detection_PostProcess"
_NORMALIZATION = 1  # in the union ProcessUnitOptions
_LABEL_FILES = (3, 2)  # AssociatedFileType: TENSOR_VALUE_LABELS, TENSOR_AXIS_LABELS


@dataclass(frozen=True, slots=True)
class PostprocessOp:
    """The operation that decodes boxes: the tensors of boxes, classes, scores and count, and how it was set."""

    tensors: tuple[int, int, int, int]
    classes: int
    regular_nms: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a file tells of itself; empty where it does not. `outputs` are the names of its outputs in their order."""

    labels: tuple[str, ...] = ()
    mean_rgb: Triple | None = None
    std_rgb: Triple | None = None
    outputs: tuple[str, ...] = ()
    postprocess: PostprocessOp | None = None


def told_by(path: Path) -> Told:
    """Read the file's tables; it must be one that LiteRT has loaded."""
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    postprocess = _postprocess(model)
    packed = _packed_texts(path)
    for number in range(model.MetadataLength()):
        entry = model.Metadata(number)
        if entry.Name() == _METADATA:
            try:
                root = _root(bytes(model.Buffers(entry.Buffer()).DataAsNumpy()))
                return _told(root, packed, postprocess)
            except (struct.error, IndexError, TypeError, ValueError) as error:
                logger.warning("%s: its metadata is broken and left out: %s", path, error)
    return Told(labels=_labels((), packed), postprocess=postprocess)


def _told(root: "_Fields", packed: dict[str, str], postprocess: PostprocessOp | None) -> Told:
    graph = next(root.tables(3), None)
    inputs = list(graph.tables(2)) if graph else []
    outputs = list(graph.tables(3)) if graph else []
    units = [unit.table(1) for unit in inputs[0].tables(4) if unit.byte(0) == _NORMALIZATION] if inputs else []
    mean, std = (_triple(units[0].floats(field)) for field in (0, 1)) if units and units[0] else (None, None)
    named = [
        (file.byte(2), file.text(0)) for tensor in outputs for file in tensor.tables(6) if file.byte(2) in _LABEL_FILES
    ]
    wanted = tuple(name for _, name in sorted(named, key=lambda one: _LABEL_FILES.index(one[0])))
    return Told(_labels(wanted, packed), mean, std, tuple(tensor.text(0) for tensor in outputs), postprocess)


def _labels(wanted: tuple[str, ...], packed: dict[str, str]) -> tuple[str, ...]:
    """Those that the metadata names, else the only text file in the zip."""
    chosen = next((packed[name] for name in wanted if name in packed), None)
    if chosen is None and len(packed) == 1:
        (chosen,) = packed.values()
    return tuple(rows_in(chosen)) if chosen is not None else ()


def _packed_texts(path: Path) -> dict[str, str]:
    try:
        with zipfile.ZipFile(path) as packed:
            names = [name for name in packed.namelist() if name.endswith(".txt")]
            return {name: packed.read(name).decode("utf-8") for name in names}
    except (zipfile.BadZipFile, UnicodeError):
        return {}


def _triple(values: list[float]) -> Triple | None:
    if len(values) == 1:
        values = values * 3
    return (values[0], values[1], values[2]) if len(values) == 3 else None


def _postprocess(model: schema.Model) -> PostprocessOp | None:
    graph = model.Subgraphs(0)
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        if model.OperatorCodes(operator.OpcodeIndex()).CustomCode() == _POSTPROCESS_OP:
            options = flexbuffers.GetRoot(bytearray(operator.CustomOptionsAsNumpy())).AsMap.Value
            boxes, classes, scores, count = (int(operator.Outputs(at)) for at in range(4))
            return PostprocessOp(
                (boxes, classes, scores, count), int(options["num_classes"]), bool(options.get("use_regular_nms"))
            )
    return None


def _root(buffer: bytes) -> "_Fields":
    return _Fields(Table(buffer, struct.unpack_from("<I", buffer)[0]))


class _Fields:
    """A table of a flatbuffer, its fields by their numbers in the schema."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def _place(self, field: int) -> int:
        """0 where the field is not set."""
        offset = self._table.Offset(4 + 2 * field)
        return int(offset + self._table.Pos) if offset else 0

    def byte(self, field: int) -> int:
        place = self._place(field)
        return int(self._table.Get(number_types.Uint8Flags, place)) if place else 0

    def text(self, field: int) -> str:
        place = self._place(field)
        return bytes(self._table.String(place)).decode("utf-8") if place else ""

    def table(self, field: int) -> "_Fields | None":
        place = self._place(field)
        return _Fields(Table(self._table.Bytes, self._table.Indirect(place))) if place else None

    def tables(self, field: int) -> Iterator["_Fields"]:
        for place in self._elements(field):
            yield _Fields(Table(self._table.Bytes, self._table.Indirect(place)))

    def floats(self, field: int) -> list[float]:
        return [float(self._table.Get(number_types.Float32Flags, place)) for place in self._elements(field)]

    def _elements(self, field: int) -> Iterator[int]:
        if self._place(field):
            offset = self._table.Offset(4 + 2 * field)
            start = self._table.Vector(offset)
            yield from range(start, start + 4 * self._table.VectorLen(offset), 4)
