"""A set of any format as Pascal VOC in `images/` and `Annotations/`, to be corrected by hand and read back.

LabelImg opens it: `labelImg OUT/images OUT/predefined_classes.txt OUT/Annotations`; what a person saves there loses
fractions of a pixel. The layout is the one that Label Studio exports; Label Studio itself reads no Pascal VOC.
"""

# ruff: noqa: PLC0415

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from vigie import voc
from vigie.annotations import AnnotatedSet, Annotation, subfolders
from vigie.coco import CocoFolder
from vigie.data.atomic import whole_folder
from vigie.data.manifest import FILE, load_manifest
from vigie.data.parts import PARTS, Part
from vigie.data.unpack import free_stem, unpack
from vigie.domain import LabelledBox
from vigie.errors import BadAnnotation, BadData
from vigie.layouts import open_set
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar
from vigie.yolo import YoloFolder

MARKER = "exported.json"
CLASSES = "predefined_classes.txt"
_LISTS = "ImageSets"
_LIST_OF: Mapping[Part, str] = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}


@dataclass(slots=True)
class Exported:
    """What was written. `unlabelled` pictures have no label file; `renamed` tells new names by the old paths."""

    pictures: int = 0
    objects: int = 0
    unlabelled: int = 0
    renamed: dict[str, str] = field(default_factory=dict)


def export_voc(source: Path, out: Path, *, progress: bool = True) -> Exported:
    """Write `source` into `out`, whole or not at all: reading `out` gives exactly the boxes that `source` gives.

    `source` is a set that `open_set` takes, prepared records or other TFRecords. Pictures keep their bytes, label
    files of Pascal VOC all that stands in them. Boxes are neither clipped nor turned.

    Raises:
        BadData: `source` is none of these, or `out` holds something else.
        BadAnnotation, BadPicture: the first label or picture that cannot be read, or be told in Pascal VOC.
    """
    with whole_folder(out, marker=MARKER) as folder:
        (folder / "images").mkdir()
        (folder / "Annotations").mkdir()
        writing = _Writing(folder)
        kind = _kind_of(source)
        if kind == "prepared":
            _from_prepared(source, writing, progress=progress)
        elif kind == "records":
            unpacked = unpack(source, folder / ".unpacked", progress=progress)
            _from_set(open_set(unpacked), writing, progress=progress)
            shutil.rmtree(unpacked)
        else:
            _from_set(open_set(source), writing, progress=progress)
        done = writing.done
        facts = {
            "source": source.resolve().name, "pictures": done.pictures, "objects": done.objects,
            "unlabelled": done.unlabelled, "renamed": done.renamed,
        }  # fmt: skip
        (folder / MARKER).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return done


def _kind_of(source: Path) -> Literal["set", "prepared", "records"]:
    try:
        open_set(source)
    except BadData:
        if (source / FILE).is_file():
            return "prepared"
        if source.is_dir() and any(path.is_file() for path in source.glob("*record*")):
            return "records"
        raise
    return "set"


class _Writing:
    """The folder that fills, and the names that are taken in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done = Exported()
        self.labels: Counter[str] = Counter()
        self._taken: set[str] = set()

    def name(self, picture: str) -> tuple[str, str]:
        """A stem that no other picture has, for labelling tools find a label file by it, and the picture's name."""
        path = PurePosixPath(picture)
        stem = free_stem(path.stem, self._taken)
        filename = stem + path.suffix
        if filename != path.name:
            self.done.renamed[picture] = filename
        return stem, filename

    def labels_of(self, stem: str) -> Path:
        return self.folder / "Annotations" / f"{stem}.xml"

    def picture(self, filename: str) -> Path:
        return self.folder / "images" / filename

    def write(
        self, where: str, stem: str, filename: str, size: tuple[int, int], objects: Sequence[LabelledBox]
    ) -> None:
        try:
            voc.write_annotation(self.labels_of(stem), filename, *size, objects)
        except ValueError as error:  # lxml's word for characters that XML has not
            raise BadAnnotation(f"{where}: its name or a label holds characters that XML has not: {error}") from error

    def count(self, where: str, stem: str, objects: Sequence[LabelledBox]) -> None:
        """Count a picture once its label file is found to say the same.

        Raises:
            BadAnnotation: it does not.
        """
        again = voc.read_annotation(self.labels_of(stem)).objects
        for number, (wanted, found) in enumerate(zip(objects, again, strict=True), start=1):
            if wanted != found:
                raise BadAnnotation(f"{where}: object {number}: Pascal VOC makes {found} of {wanted}; correct it first")
        self.done.pictures += 1
        self.done.objects += len(objects)
        self.labels.update(labelled.label for labelled in objects)

    def classes(self, names: Sequence[str]) -> None:
        """The list that LabelImg offers, a line a name."""
        lines = [f"{name}\n" for name in names if name.isprintable()]
        (self.folder / CLASSES).write_text("".join(lines), encoding="utf-8")


def _from_set(found: AnnotatedSet, writing: _Writing, *, progress: bool) -> None:
    names = found.names
    listed: dict[str, str] = {}
    owners: dict[Path, str] = {}
    shown = progress_bar(names, total=len(names), description="Exporting", unit="picture", show=progress)
    for name in shown:
        annotation = found.read(name)
        path = found.picture_of(annotation)
        if path in owners:
            raise BadAnnotation(f"{annotation.where}: its picture {path.name} belongs to {owners[path]} too; keep one")
        owners[path] = annotation.where
        stem, filename = writing.name(path.relative_to(found.root).as_posix())
        _note(listed, path, found.root, stem, filename)
        listed.setdefault(annotation.path.stem, stem)
        _copy(path, writing.picture(filename))
        _labels(found, annotation, path, stem, filename, writing)
        writing.count(annotation.where, stem, annotation.objects)
    for path in found.pictures.values():
        if path not in owners:
            stem, filename = writing.name(path.relative_to(found.root).as_posix())
            _note(listed, path, found.root, stem, filename)
            _copy(path, writing.picture(filename))
            writing.done.unlabelled += 1
    writing.classes(found.classes if isinstance(found, CocoFolder | YoloFolder) else sorted(writing.labels))
    if isinstance(found, voc.VocFolder):
        for lists in subfolders(found.root):
            if lists.name.lower() == _LISTS.lower():
                _lists(lists, writing.folder / _LISTS, listed)


def _note(listed: dict[str, str], path: Path, root: Path, stem: str, filename: str) -> None:
    """What lists may call a picture, and what they are to call it from now on."""
    below = path.relative_to(root).parts
    for start in range(len(below)):
        name = "/".join(below[start:])
        listed.setdefault(name, filename)
        listed.setdefault(name.removesuffix(path.suffix), stem)


def _labels(
    found: AnnotatedSet, annotation: Annotation, path: Path, stem: str, filename: str, writing: _Writing
) -> None:
    if isinstance(found, voc.VocFolder):
        try:
            writing.labels_of(stem).write_bytes(voc.renamed_annotation(annotation.path, filename))
        except ValueError as error:
            raise BadAnnotation(f"{annotation.where}: XML has not the name {filename!r}: {error}") from error
        return
    size = annotation.size
    if size is None:  # boxes were drawn on the picture as it is seen upright
        picture = Picture.from_file(path)
        size = picture.width, picture.height
    writing.write(annotation.where, stem, filename, size, annotation.objects)


def _copy(path: Path, place: Path) -> None:
    try:
        shutil.copyfile(path, place)
    except OSError as error:
        raise BadData(f"{path}: cannot be copied: {error.strerror}") from error


def _lists(lists: Path, out: Path, listed: Mapping[str, str]) -> None:
    """`ImageSets/` again, its pictures by their new names."""
    for path in sorted(lists.rglob("*.txt")):
        place = out / path.relative_to(lists)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadData(f"{path}: cannot be read: {error}") from error
        place.write_text("".join(_line(line, listed) for line in text.splitlines(keepends=True)), encoding="utf-8")


def _line(line: str, listed: Mapping[str, str]) -> str:
    """`name` or, in the list of a class, `name 1`."""
    whole = line.strip()
    name = whole if whole in listed or not whole else whole.split(maxsplit=1)[0]
    return line.replace(name, listed[name], 1) if name in listed else line


def _from_prepared(records: Path, writing: _Writing, *, progress: bool) -> None:
    from vigie.data.prepare import read_part

    manifest = load_manifest(records)
    total = sum(facts.pictures for facts in manifest.parts.values())
    with progress_bar(total=total, description="Exporting", unit="picture", show=progress) as bar:
        for part in PARTS:
            stems = []
            for sample in read_part(records, part):
                where = f"{records}: {part}: {sample.filename}"
                stem, filename = writing.name(str(PurePosixPath(sample.filename).with_suffix(".jpg")))
                stems.append(stem)
                writing.picture(filename).write_bytes(sample.picture.jpeg())
                size = sample.picture.width, sample.picture.height
                writing.write(where, stem, filename, size, sample.objects)
                writing.count(where, stem, sample.objects)
                bar.update()
            place = writing.folder / _LISTS / "Main" / _LIST_OF[part]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("".join(f"{stem}\n" for stem in sorted(stems)), encoding="utf-8")
    writing.classes(manifest.classes)
