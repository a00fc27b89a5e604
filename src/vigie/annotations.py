"""What a set of annotated pictures is, whatever format its label files have."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a label file says of one picture.

    `filename` is None where it names no picture, `size` (width, height) where it tells none. `entry` names the
    picture's place in a file that speaks of many. Boxes may reach outside the picture: see `clipped`.
    """

    path: Path
    filename: str | None
    size: tuple[int, int] | None
    objects: tuple[LabelledBox, ...]
    entry: str | None = None

    @property
    def where(self) -> str:
        """How messages call it."""
        return str(self.path) if self.entry is None else f"{self.path}: {self.entry}"


class AnnotatedSet(Protocol):
    """A folder of annotated pictures in one of the formats. Opening it lists it; no picture is read."""

    @property
    def root(self) -> Path: ...

    @property
    def files(self) -> Sequence[Path]:
        """All that the set consists of, label files and pictures, always in the same order."""

    @property
    def pictures(self) -> Mapping[str, Path]:
        """All pictures that lie there, annotated or not."""

    @property
    def names(self) -> Sequence[str]:
        """A name for each annotated picture, as reports call it, sorted.

        Raises:
            BadAnnotation: the file that speaks of all pictures cannot be used.
        """

    def read(self, name: str) -> Annotation:
        """What is said of one picture.

        Raises:
            BadAnnotation: naming the file, the object (from 1) and what was found.
        """

    def picture_of(self, annotation: Annotation) -> Path:
        """The file of the picture.

        Raises:
            BadAnnotation: there is none, or several fit.
        """


@dataclass(frozen=True, slots=True)
class Cut:
    """What clipping did to one box; objects count from 1, as in messages. `after` is None where nothing was left."""

    number: int
    label: str
    before: Box
    after: Box | None


def clipped(objects: Sequence[LabelledBox], width: int, height: int) -> tuple[tuple[LabelledBox, ...], tuple[Cut, ...]]:
    """The parts inside a picture of that size, and what was cut to get there."""
    kept: list[LabelledBox] = []
    cuts: list[Cut] = []
    for number, labelled in enumerate(objects, start=1):
        inside = _inside(labelled.box, width, height)
        if inside is not None:
            kept.append(LabelledBox(labelled.label, inside))
        if inside != labelled.box:
            cuts.append(Cut(number, labelled.label, labelled.box, inside))
    return tuple(kept), tuple(cuts)


def _inside(box: Box, width: int, height: int) -> Box | None:
    left, top = max(box.left, 0.0), max(box.top, 0.0)
    right, bottom = min(box.right, float(width)), min(box.bottom, float(height))
    return Box(left, top, right, bottom) if left < right and top < bottom else None


class PathsIn(Mapping[str, Path]):
    """Files by their path from a folder. A `Path` is made when it is asked for: those of a large set take memory."""

    __slots__ = ("_names", "folder")

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder = folder
        self._names = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Path:
        if name not in self._names:
            raise KeyError(name)
        return self.folder / name

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def pictures_in(folder: Path, *, depth: int = 0) -> PathsIn:
    """The pictures in a folder and so many levels below it, sorted by their path from it."""
    return PathsIn(folder, sorted(_picture_names(folder, depth)))


def _picture_names(folder: Path, depth: int) -> Iterator[str]:
    yield from names_in(folder, PICTURE_ENDINGS)
    for below in subfolders(folder) if depth else ():
        yield from (f"{below.name}/{name}" for name in _picture_names(below, depth - 1))


def names_in(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """What lies in a folder and has one of these endings, however it is written; sorted."""
    split = ((name, *name.rpartition(".")) for name in os.listdir(folder))  # noqa: PTH208 - a Path for each takes ten times as long
    return sorted(name for name, stem, dot, ending in split if stem and dot + ending.lower() in endings)


def subfolders(folder: Path) -> list[Path]:
    """Sorted by name; hidden ones are left out."""
    with os.scandir(folder) as entries:  # which know what they are; thousands of files need not be asked
        return sorted(folder / entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())


def by_stem(stem: str, pictures: Mapping[str, Path]) -> list[Path]:
    """The pictures whose name is `stem` and a known ending."""
    spelt = (form for ending in PICTURE_ENDINGS for form in (ending, ending.upper()))
    return [pictures[stem + ending] for ending in spelt if stem + ending in pictures]


def content_of(folder: Path) -> str:
    """The first few names in a folder, for a message."""
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def label_file(path: Path, *, most_bytes: int) -> bytes:
    """The bytes of a label file.

    Raises:
        BadAnnotation: it cannot be read or is too large to be one.
    """
    try:
        size = path.stat().st_size
        if size > most_bytes:
            raise BadAnnotation(f"{path}: {size} bytes are no label file; the limit is {most_bytes}")
        return path.read_bytes()
    except OSError as error:
        raise BadAnnotation(f"{path}: cannot be read: {error.strerror}") from error


def twice(values: Iterable[object]) -> list[object]:
    """Those that stand there more than once."""
    seen: set[object] = set()
    again: dict[object, None] = {}
    for value in values:
        if value in seen:
            again[value] = None
        seen.add(value)
    return list(again)
