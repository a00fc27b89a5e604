"""What is kept of pictures that were looked at: columns for those that are good, problems for the others."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import BinaryIO, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from vigie.data.examples import Corners, example, framed
from vigie.data.looks import Grey, perceptual_hashes, thumbnail_of
from vigie.errors import VigieError

NO_SHA256 = bytes(32)
CutRow: TypeAlias = tuple[str, int, str, Corners, Corners | None]
"""Label file, object, label, before and after, as `vigie.data.manifest.ClippedBox` has them."""


class Looked(NamedTuple):
    """A batch of pictures; a row each for those that are good.

    `pictures` are keys of the set's pictures, `sha256` and `label_sha256` 32 bytes a picture (zeros where a label file
    speaks of all), `boxes` counts, pictures x classes. A record lies at `offset` in the file `spool`, the rows that it
    has in a table right behind it; both in bytes. `cuts` are told with the picture's place among the good ones,
    problems with the name of the annotated picture.
    """

    pictures: list[str]
    sha256: bytes
    label_sha256: bytes
    thumbnails: bytes
    bits: npt.NDArray[np.uint64]
    boxes: npt.NDArray[np.int32]
    cuts: list[tuple[int, CutRow]]
    spool: str
    offset: npt.NDArray[np.uint64]
    record: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.uint32]
    problems: list[tuple[str, VigieError]]


class Marked(NamedTuple):
    """A good picture: its file name, its number in the set from 1, and its objects, a row each.

    `corners` lie inside; `written` are xmin, ymin, xmax and ymax as VOC writes them.
    """

    filename: str
    number: int
    width: int
    height: int
    labels: Sequence[bytes]
    corners: Sequence[Corners]
    written: Sequence[tuple[object, ...]]


class Notes:
    """Columns that grow picture by picture, while records and rows go to a file."""

    def __init__(self, stream: BinaryIO, ids: Mapping[bytes, int]) -> None:
        self._stream = stream
        self._ids = ids
        self._at = stream.tell()
        self._pictures: list[str] = []
        self._sha256: list[bytes] = []
        self._label_sha256: list[bytes] = []
        self._thumbnails: list[bytes] = []
        self._cells: list[int] = []
        self._places: list[tuple[int, int, int]] = []
        self._cuts: list[tuple[int, CutRow]] = []
        self.problems: list[tuple[str, VigieError]] = []

    def add(
        self,
        picture: str,
        marked: Marked,
        jpeg: bytes,
        *,
        sha256: bytes,
        label_sha256: bytes,
        grey: Grey,
        cuts: Sequence[CutRow] = (),
    ) -> None:
        """`jpeg` is what goes into the record; `sha256` and `grey` are those of the picture as it came."""
        ids = [self._ids[label] for label in marked.labels]
        place = len(self._pictures)
        self._cells += [place * len(self._ids) + number - 1 for number in ids]
        self._cuts += [(place, cut) for cut in cuts]
        self._pictures.append(picture)
        self._sha256.append(sha256)
        self._label_sha256.append(label_sha256)
        self._thumbnails.append(thumbnail_of(grey).tobytes())
        record = framed(
            example(
                jpeg, filename=marked.filename, number=marked.number, width=marked.width, height=marked.height,
                labels=marked.labels, ids=ids, corners=marked.corners,
            )
        )  # fmt: skip
        rows = _rows(marked)
        self._stream.write(record)
        self._stream.write(rows)
        self._places.append((self._at, len(record), len(rows)))
        self._at += len(record) + len(rows)

    def closed(self, spool: str) -> Looked:
        count, classes = len(self._pictures), len(self._ids)
        thumbnails = b"".join(self._thumbnails)
        looks = np.frombuffer(thumbnails, np.uint8).reshape(count, 32, 32)
        boxes = np.bincount(np.array(self._cells, np.intp), minlength=count * classes)
        offset, record, rows = zip(*self._places, strict=True) if count else ((), (), ())
        return Looked(
            self._pictures, b"".join(self._sha256), b"".join(self._label_sha256), thumbnails,
            perceptual_hashes(looks), boxes.reshape(count, classes).astype(np.int32), self._cuts,
            spool, np.array(offset, np.uint64), np.array(record, np.uint32), np.array(rows, np.uint32), self.problems,
        )  # fmt: skip


def _rows(marked: Marked) -> bytes:
    """A row an object with the customary columns."""
    name = marked.filename
    start = f"{_quoted(name) if _SPECIAL & set(name) else name},{marked.width},{marked.height},"
    return "".join(
        f"{start}{_label(label)},{xmin},{ymin},{xmax},{ymax}\n"
        for label, (xmin, ymin, xmax, ymax) in zip(marked.labels, marked.written, strict=True)
    ).encode()


_SPECIAL = frozenset(',"\r\n')


@lru_cache(4096)
def _label(label: bytes) -> str:
    return _quoted(label.decode())


def _quoted(text: str) -> str:
    """As it stands in a CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text])
    return line.getvalue()


def sha256_of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
