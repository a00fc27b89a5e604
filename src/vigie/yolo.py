"""YOLO text labels, as Darknet and Ultralytics have them: one text file a picture, one object a line.

A line is `class x y width height`: the class counts from 0, the box's centre and size are shares of the picture's
sides.
A picture without a text file is one without objects, as the format has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import yaml

from vigie.annotations import Annotation, by_stem, content_of, label_file, pictures_in, subfolders, twice
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData
from vigie.pictures import Picture

EXPECTED = "YOLO (images/ and labels/*.txt with data.yaml or classes.txt)"
_MAX_BYTES = 8 << 20
_MOST_DIGITS = 9
_SLACK = 0.01  # tools write 1.000002
_CLASSES = "classes.txt"  # LabelImg puts it among the label files
_DEPTH = 1  # images/train/ and labels/train/


@dataclass(frozen=True, slots=True)
class _Pair:
    """A folder of pictures with that of their label files; `prefix` tells the pairs of one set apart."""

    prefix: str
    pictures: Path
    labels: Path


class YoloFolder:
    """Pictures and text files in folders side by side, and the file with the names of the classes."""

    def __init__(self, root: Path, pairs: tuple[_Pair, ...], names_file: Path) -> None:
        self.root = root
        self.names_file = names_file
        self._pairs = pairs

    @cached_property
    def pictures(self) -> Mapping[str, Path]:
        return {
            pair.prefix + name: path
            for pair in self._pairs
            for name, path in pictures_in(pair.pictures, depth=_DEPTH).items()
        }

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.names_file, *self._label_files.values(), *self.pictures.values())

    @cached_property
    def names(self) -> tuple[str, ...]:
        _ = self.classes  # what is wrong with their file is told once, not for each picture
        lonely = {_without_ending(name) + ".txt" for name in self.pictures}
        return tuple(sorted(lonely | self._label_files.keys()))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; YOLO counts them from 0.

        Raises:
            BadAnnotation: the file holds none, or one twice.
        """
        text = _text(self.names_file)
        if self.names_file.suffix.lower() == ".txt":
            names: object = [line.strip() for line in text.splitlines() if line.strip()]
        else:
            names = _names_of(text, self.names_file)
        if isinstance(names, dict) and sorted(names, key=str) == sorted(range(len(names)), key=str):
            names = [names[number] for number in range(len(names))]
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise BadAnnotation(f"{self.names_file}: expected the names of the classes from 0 on, one text each")
        if again := twice(names):
            raise BadAnnotation(f"{self.names_file}: the class {again[0]!r} stands there twice; keep one")
        return tuple(names)

    def read(self, name: str) -> Annotation:
        """Boxes in pixels of the upright picture, whose header is read for its size.

        Raises:
            BadPicture: the header cannot be read.
        """
        path = self._label_files.get(name)
        if path is None:
            return Annotation(self._path_of(name), None, None, ())
        lines = [(number, line.split()) for number, line in enumerate(_text(path).splitlines(), start=1)]
        rows = [_row(fields, f"{path}: line {number}", self.classes) for number, fields in lines if fields]
        if not rows:
            return Annotation(path, None, None, ())
        picture = Picture.from_file(self.picture_of(Annotation(path, None, None, ())))
        objects = tuple(_object(label, shares, picture.width, picture.height) for label, shares in rows)
        return Annotation(path, None, None, objects)

    def picture_of(self, annotation: Annotation) -> Path:
        """The picture of the text file's stem, in the same place below `images/`."""
        pair, relative = self._place(annotation.path)
        found = by_stem(pair.prefix + _without_ending(relative), self.pictures)
        if len(found) == 1:
            return found[0]
        if found:
            named = ", ".join(path.name for path in found)
            raise BadAnnotation(f"{annotation.path}: several pictures fit: {named}; keep one of them")
        raise BadAnnotation(
            f"{annotation.path}: there is no picture {_without_ending(relative)} in {pair.pictures}; "
            "add it or remove the label file"
        )

    @cached_property
    def _label_files(self) -> dict[str, Path]:
        return {
            f"{pair.prefix}{path.relative_to(pair.labels).as_posix()}": path
            for pair in self._pairs
            for path in [path for folder in (pair.labels, *subfolders(pair.labels)) for path in _texts(folder)]
        }

    def _path_of(self, name: str) -> Path:
        pair = next(pair for pair in self._pairs if name.startswith(pair.prefix))
        return pair.labels / name.removeprefix(pair.prefix)

    def _place(self, path: Path) -> tuple[_Pair, str]:
        pair = next(pair for pair in self._pairs if path.is_relative_to(pair.labels))
        return pair, path.relative_to(pair.labels).as_posix()


def _texts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".txt" and path.name != _CLASSES)


def _without_ending(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _text(path: Path) -> str:
    try:
        return label_file(path, most_bytes=_MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadAnnotation(f"{path}: is no text: {error}") from error


def _names_of(text: str, path: Path) -> object:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that no calendar has
        raise BadAnnotation(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    return content.get("names") if isinstance(content, dict) else content


def _row(fields: list[str], where: str, classes: tuple[str, ...]) -> tuple[str, tuple[float, float, float, float]]:
    if len(fields) != 5:
        raise BadAnnotation(f"{where}: expected `class x y width height`, found {len(fields)} values; correct the line")
    if not fields[0].isdecimal() or len(fields[0]) > _MOST_DIGITS or int(fields[0]) >= len(classes):
        raise BadAnnotation(
            f"{where}: the class is {fields[0]!r:.40}; there are {len(classes)}, counted from 0: "
            f"{', '.join(classes[:20])}"
        )
    try:
        x, y, width, height = map(float, fields[1:])
    except ValueError as error:
        raise BadAnnotation(f"{where}: {' '.join(fields[1:])} are not four numbers") from error
    # Written so that NaN fails too.
    if not all(0 - _SLACK <= share <= 1 + _SLACK for share in (x, y, width, height)):
        raise BadAnnotation(f"{where}: {' '.join(fields[1:])} are no shares of a picture's sides, from 0 to 1")
    if not (width > 0 and height > 0):
        raise BadAnnotation(f"{where}: the box has no area; correct or remove it")
    return classes[int(fields[0])], (x, y, width, height)


def _object(label: str, shares: tuple[float, float, float, float], width: int, height: int) -> LabelledBox:
    x, y, wide, high = shares
    left, right = (x - wide / 2) * width, (x + wide / 2) * width
    top, bottom = (y - high / 2) * height, (y + high / 2) * height
    # Six digits are customary: rounding gives whole pixels back, where it leaves an area.
    rounded = round(left, 2), round(top, 2), round(right, 2), round(bottom, 2)
    if rounded[0] < rounded[2] and rounded[1] < rounded[3]:
        return LabelledBox(label, Box(*rounded))
    return LabelledBox(label, Box(left, top, right, bottom))


def find_folder(root: Path) -> YoloFolder | None:
    """The YOLO set in a folder, also one in parts (`train/images/`); None where no folder `labels/` holds text files.

    Raises:
        BadData: the names of the classes are missing, or two files hold them.
    """
    here = _pair("", root)
    pairs = here or tuple(pair for path in subfolders(root) for pair in _pair(f"{path.name}/", path))
    if not any(_texts(folder) for pair in pairs for folder in (pair.labels, *subfolders(pair.labels))):
        return None
    return YoloFolder(root, pairs, _names_file(root))


def _pair(prefix: str, place: Path) -> tuple[_Pair, ...]:
    images, labels = place / "images", place / "labels"
    return (_Pair(prefix, images, labels),) if images.is_dir() and labels.is_dir() else ()


def _names_file(root: Path) -> Path:
    found = [path for path in (root / "data.yaml", root / "data.yml") if path.is_file()]
    found = found or sorted(path for path in root.iterdir() if path.suffix.lower() in (".yaml", ".yml"))
    found = found or [path for path in (root / _CLASSES, root / "labels" / _CLASSES) if path.is_file()]
    if len(found) != 1:
        what = f"found {' and '.join(path.name for path in found)}" if found else f"found {content_of(root)}"
        raise BadData(f"{root}: YOLO labels need the names of the classes in one data.yaml or classes.txt; {what}")
    return found[0]
