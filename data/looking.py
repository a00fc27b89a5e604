"""The one look at each picture and its label file, in whichever process it is taken: is everything right, what does
it look like, and what will stand in the records.

A plain picture with a plain label file takes the short way, in a fraction of the time; where anything is out of the
ordinary, the long way through `vigie.data.source` decides, and tells what is wrong.
"""

# ruff: noqa: PLC0415

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vigie.data.looks import THUMBNAIL_BYTES, plain_jpeg_grey, plain_jpeg_size
from vigie.data.notes import Looked, Marked, Notes, sha256_of
from vigie.data.plain_voc import PlainLabels, plain_labels
from vigie.data.spool import keep_looks, spool_file
from vigie.errors import BadAnnotation, BadPicture

if TYPE_CHECKING:
    from vigie.data.source import LongWay

_MOST_LABEL_BYTES = 1 << 20
_MOST_PIXELS = 50_000_000  # that of `vigie.pictures`, which takes long to load


class Batch(NamedTuple):
    """Names of annotated pictures as the set has them, numbered from `first`, from 1.

    `pictures` are, as the set calls them, the only ones of the same stem; None where there is none or several.
    """

    first: int
    names: Sequence[str]
    pictures: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class ShortWay:
    """Where Pascal VOC's files lie: prefixes of paths. `beside`: pictures lie with their label files."""

    labels: str
    pictures: str
    beside: bool


@dataclass(frozen=True)
class Look:
    """Takes batches; ships to other processes as a recipe. What records are made of goes to files in `spool`."""

    root: Path
    classes: tuple[str, ...]
    spool: Path
    short: ShortWay | None

    def __call__(self, batch: Batch) -> Looked:
        with spool_file(self.spool) as (stream, name):
            notes = Notes(stream, self._ids)
            for number, (label, picture) in enumerate(zip(batch.names, batch.pictures, strict=True), start=batch.first):
                if self.short is None or not self._shortly(notes, self.short, number, label, picture):
                    try:
                        self._long_way.look(notes, number, label)
                    except (BadAnnotation, BadPicture) as problem:
                        notes.problems.append((label, problem))
            looked = notes.closed(name)
        if not looked.problems:
            keep_looks(self.spool, batch.first - 1, looked.thumbnails, each=THUMBNAIL_BYTES)
        return looked._replace(thumbnails=b"")

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        return {name.encode(): number for number, name in enumerate(self.classes, start=1)}

    @cached_property
    def _long_way(self) -> "LongWay":
        from vigie.data.source import LongWay

        return LongWay(self.root, self.classes)

    def _shortly(self, notes: Notes, way: ShortWay, number: int, label: str, likely: str | None) -> bool:
        """False where anything is odd; nothing is noted then."""
        try:
            content = _content(way.labels + label)
            labels = plain_labels(content) if len(content) <= _MOST_LABEL_BYTES else None
            picture = labels and self._picture(labels.filename, label, likely, way)
            if labels is None or not picture:
                return False
            encoded = _content(way.pictures + picture)
        except (OSError, ValueError):  # a null in a name is a ValueError
            return False
        size = plain_jpeg_size(encoded)
        if size is None or not self._fits(labels, *size):
            return False
        grey = plain_jpeg_grey(encoded)
        if grey is None:
            return False
        written = [(left + 1, top + 1, right, bottom) for left, top, right, bottom in labels.corners]
        marked = Marked(picture.rpartition("/")[2], number, *size, labels.labels, labels.corners, written)
        notes.add(picture, marked, encoded, sha256=sha256_of(encoded), label_sha256=sha256_of(content), grey=grey)
        return True

    def _picture(self, filename: str, label: str, likely: str | None, way: ShortWay) -> str | None:
        """By `<filename>`, else by the label file's stem. Only a file name of its own has the set listed here."""
        if likely and filename in ("", likely.rpartition("/")[2]):
            return likely
        folder = label[: label.rfind("/") + 1] if way.beside else ""
        return folder + filename if folder + filename in self._long_way.found.pictures else likely

    def _fits(self, labels: PlainLabels, width: int, height: int) -> bool:
        if labels.size not in (None, (width, height)) or width * height > _MOST_PIXELS:
            return False
        for label, (left, top, right, bottom) in zip(labels.labels, labels.corners, strict=True):
            if label not in self._ids or left < 0 or top < 0 or right > width or bottom > height:
                return False
        return True


def _content(path: str) -> bytes:
    held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(held).st_size
        content = os.read(held, size + 1)
    finally:
        os.close(held)
    if len(content) != size:
        raise OSError(f"{path}: {len(content)} of {size} bytes")  # the long way reads on
    return content
