"""Pascal VOC label files (Everingham et al. 2010): one XML a picture, in the layouts that people have.

VOC counts pixels from 1 and includes the last one: [1, w] becomes [0, w). Label files come from strangers:
entities, document types and huge trees are refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path

from lxml import etree

from vigie.annotations import (
    PICTURE_ENDINGS,
    Annotation,
    Cut,
    PathsIn,
    by_stem,
    clipped,
    content_of,
    label_file,
    names_in,
    pictures_in,
    subfolders,
)
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData

__all__ = [
    "PICTURE_ENDINGS",
    "Annotation",
    "Cut",
    "VocFolder",
    "clipped",
    "corners",
    "find_folder",
    "open_folder",
    "read_annotation",
    "renamed_annotation",
    "write_annotation",
]

EXPECTED = (
    "Pascal VOC (annotations/*.xml or Annotations/*.xml with pictures in images/ or JPEGImages/, "
    "or *.xml beside their pictures)"
)
_DEVKIT = re.compile(r"VOCdevkit|VOC\d{4}", re.IGNORECASE)
_MAX_BYTES = 8 << 20
_ENDING = (".xml",)
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_EXACT = Context(
    prec=400
)  # the smallest float below a million has fewer digits: the first pixel comes off and on again


@dataclass(frozen=True, slots=True)
class VocFolder:
    """A set of label files and of pictures, both sorted and by their path from `labels_in` and `pictures_in`.

    The two are the same folder where label files lie beside their pictures.
    """

    root: Path
    labels: PathsIn
    pictures: PathsIn

    @property
    def labels_in(self) -> Path:
        return self.labels.folder

    @property
    def pictures_in(self) -> Path:
        return self.pictures.folder

    @property
    def annotations(self) -> tuple[Path, ...]:
        return tuple(self.labels.values())

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self.labels.values(), *self.pictures.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.labels)

    def read(self, name: str) -> Annotation:
        return read_annotation(self.labels_in / name)

    def picture_of(self, annotation: Annotation) -> Path:
        """The picture by `<filename>`, else by the label file's stem: real sets say .png and hold .jpg.

        Raises:
            BadAnnotation: there is none, or the stem fits several.
        """
        beside = self._place(annotation.path)
        if annotation.filename is not None and beside + annotation.filename in self.pictures:
            return self.pictures[beside + annotation.filename]
        stem = annotation.path.stem
        found = by_stem(beside + stem, self.pictures)
        if len(found) == 1:
            return found[0]
        named = f"names the picture {annotation.filename!r}" if annotation.filename else "names no picture"
        if not found:
            raise BadAnnotation(
                f"{annotation.path}: <filename> {named}, and {self.pictures_in / beside} holds neither that nor "
                f"{stem}{{{','.join(PICTURE_ENDINGS)}}}; add the picture or remove the label file"
            )
        raise BadAnnotation(
            f"{annotation.path}: <filename> {named}, and there are several of its stem: "
            f"{', '.join(path.name for path in found)}; name one of them in <filename>"
        )

    def _place(self, label_file: Path) -> str:
        """The subfolder that holds the file's picture, with its slash: its own, where labels lie beside pictures."""
        if self.labels_in != self.pictures_in or label_file.parent == self.labels_in:
            return ""
        return f"{label_file.parent.name}/"


def find_folder(root: Path) -> VocFolder | None:
    """The Pascal VOC set in a folder, in whichever layout it has; None where there is no label file.

    Raises:
        BadData: there are label files and no pictures, or two folders fit.
    """
    labels_in = _only(root, ("annotations",))
    labels = names_in(labels_in, _ENDING) if labels_in else []
    if labels_in is None or not labels:
        return _beside(root) or _devkit(root)
    pictures_folder = _only(root, ("images", "jpegimages"))
    if pictures_folder is None:
        raise BadData(
            f"{root}: {labels_in.name}/ holds label files, and there is no images/ or JPEGImages/ beside it; "
            f"found {content_of(root)}"
        )
    pictures = pictures_in(pictures_folder)
    if not pictures:
        raise BadData(
            f"{root}: {labels_in.name}/ holds label files, and {pictures_folder.name}/ no picture; "
            f"it holds {content_of(pictures_folder)}"
        )
    return VocFolder(root, PathsIn(labels_in, labels), pictures)


def _devkit(root: Path) -> VocFolder | None:
    """The set in `VOCdevkit/VOC2012/`, as the archives of the Pascal VOC challenges unpack."""
    places = [path for path in subfolders(root) if _DEVKIT.fullmatch(path.name)]
    found = [nested for path in places if (nested := find_folder(path)) is not None]
    if len(found) > 1:
        raise BadData(f"{root}: holds several sets: {', '.join(str(one.root) for one in found)}; name one of them")
    return found[0] if found else None


def _beside(root: Path) -> VocFolder | None:
    """Label files beside their pictures, as LabelImg leaves them, here and one level below."""
    nested = (f"{below.name}/{name}" for below in subfolders(root) for name in names_in(below, _ENDING))
    labels = PathsIn(root, [*names_in(root, _ENDING), *nested])
    pictures = pictures_in(root, depth=1) if labels else PathsIn(root, ())
    if labels and not pictures:
        raise BadData(f"{root}: there are label files such as {next(iter(labels))}, and no picture beside them")
    return VocFolder(root, labels, pictures) if labels else None


def _only(root: Path, names: tuple[str, ...]) -> Path | None:
    """The subfolder of one of these names, in the case that it has on disk."""
    found = [path for path in subfolders(root) if path.name.lower() in names]
    if len(found) > 1:
        raise BadData(f"{root}: holds {' and '.join(path.name + '/' for path in found)}; keep one of them")
    return found[0] if found else None


def open_folder(root: Path) -> VocFolder:
    """List a Pascal VOC set, sorted by name; nothing is read yet.

    Raises:
        BadData: there is none, or it is not whole.
    """
    found = find_folder(root) if root.is_dir() else None
    if found is None:
        what = f"found {content_of(root)}" if root.is_dir() else "there is no such folder"
        raise BadData(f"{root}: expected {EXPECTED}; {what}")
    return found


def read_annotation(path: Path) -> Annotation:
    """Read one label file; boxes as they stand, not yet clipped.

    Raises:
        BadAnnotation: naming the file, the object (from 1), the field and what was found.
    """
    root = _parse(path)
    where = str(path)
    filename = _text(root, "filename", where, required=False)
    if filename is not None and (filename in (".", "..") or "/" in filename or "\\" in filename):
        raise BadAnnotation(f"{path}: <filename> is {filename!r}; give the bare name of a picture")
    objects = tuple(_object(element, f"{path}: object {number}") for number, element in _numbered(root))
    return Annotation(path, filename, _size(root, where), objects)


def _parse(path: Path) -> etree._Element:
    content = label_file(path, most_bytes=_MAX_BYTES)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    # Looked for before anything is parsed, and again afterwards: an encoding may hide it here.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise BadAnnotation(_NO_DOCTYPE.format(path))
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise BadAnnotation(f"{path}: not well-formed XML: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadAnnotation(_NO_DOCTYPE.format(path))
    if root.tag != "annotation":
        raise BadAnnotation(f"{path}: the outermost tag is <{root.tag}>, a VOC label file has <annotation>")
    return root


_NO_DOCTYPE = "{}: holds a document type or entities, which label files do without; remove them"


def _numbered(root: etree._Element) -> list[tuple[int, etree._Element]]:
    return list(enumerate(root.findall("object"), start=1))


def _object(element: etree._Element, where: str) -> LabelledBox:
    label = _text(element, "name", where)
    corners = _child(element, "bndbox", where)
    if corners is None:
        raise BadAnnotation(f"{where}: <bndbox> is missing; add it or remove the object")
    xmin, ymin, xmax, ymax = (_number(_text(corners, name, where), name, where) for name in _CORNERS)
    for low, high, axis in ((xmin, xmax, "x"), (ymin, ymax, "y")):
        if _EXACT.subtract(low, Decimal(1)) >= high:  # fractions may cross and still leave a part of a pixel
            raise BadAnnotation(f"{where}: {axis}min {low} lies beyond {axis}max {high}; swap or correct them")
    left, top = (float(_EXACT.subtract(first, Decimal(1))) for first in (xmin, ymin))
    return LabelledBox(str(label), Box(left, top, float(xmax), float(ymax)))


def _size(root: etree._Element, where: str) -> tuple[int, int] | None:
    size = _child(root, "size", where)
    if size is None:
        return None
    width, height = (_number(_text(size, name, where), name, where) for name in ("width", "height"))
    for name, value in (("width", width), ("height", height)):
        if value < 1 or value != int(value):
            raise BadAnnotation(f"{where}: <size> has {name} {value}; give the picture's {name} in whole pixels")
    return int(width), int(height)


def _child(parent: etree._Element, tag: str, where: str) -> etree._Element | None:
    found = parent.findall(tag)
    if len(found) > 1:
        raise BadAnnotation(f"{where}: <{tag}> stands there {len(found)} times; keep one")
    return found[0] if found else None


def _text(parent: etree._Element, tag: str, where: str, *, required: bool = True) -> str | None:
    child = _child(parent, tag, where)
    text = "" if child is None else (child.text or "").strip()
    if text or not required:
        return text or None
    raise BadAnnotation(f"{where}: <{tag}> is {'missing' if child is None else 'empty'}; fill it in")


def _number(text: str | None, name: str, where: str) -> Decimal:
    # Decimal, so that subtracting the first pixel adds no error to "12.3".
    try:
        value = Decimal(text or "")
    except InvalidOperation as error:
        raise BadAnnotation(f"{where}: <{name}> is {text!r}, not a number") from error
    if not value.is_finite() or abs(value) > 1_000_000:
        raise BadAnnotation(f"{where}: <{name}> is {text!r}, no place in a picture")
    return value


def corners(box: Box) -> tuple[str, str, str, str]:
    """xmin, ymin, xmax, ymax as VOC writes them: from 1, the last pixel included."""
    return _first(box.left), _first(box.top), _plain(Decimal(repr(box.right))), _plain(Decimal(repr(box.bottom)))


def _first(value: float) -> str:
    return _plain(_EXACT.add(Decimal(repr(value)), Decimal(1)))


def _plain(value: Decimal) -> str:
    return str(int(value)) if value == int(value) else format(value, "f")


def write_annotation(path: Path, filename: str, width: int, height: int, objects: Sequence[LabelledBox]) -> None:
    """Write one label file; `read_annotation` gives the same boxes back. The same values give the same bytes."""
    root = etree.Element("annotation")
    _add(root, "folder", "images")
    _add(root, "filename", filename)
    size = etree.SubElement(root, "size")
    for name, value in (("width", width), ("height", height), ("depth", 3)):
        _add(size, name, str(value))
    _add(root, "segmented", "0")
    for labelled in objects:
        element = etree.SubElement(root, "object")
        _add(element, "name", labelled.label)
        for name, text in (("pose", "Unspecified"), ("truncated", "0"), ("occluded", "0"), ("difficult", "0")):
            _add(element, name, text)
        place = etree.SubElement(element, "bndbox")
        for name, text in zip(_CORNERS, corners(labelled.box), strict=True):
            _add(place, name, text)
    etree.indent(root, space="    ")
    path.write_bytes(etree.tostring(root) + b"\n")


def renamed_annotation(path: Path, filename: str) -> bytes:
    """A label file with another `<filename>`; all else stands as it was, also what `read_annotation` passes over.

    Raises:
        BadAnnotation: it cannot be read.
    """
    root = _parse(path)
    if _text(root, "filename", str(path), required=False) == filename:
        return path.read_bytes()
    element = _child(root, "filename", str(path))
    if element is None:
        element = etree.Element("filename")
        element.tail = root.text
        root.insert(0, element)
    element.text = filename
    return bytes(etree.tostring(root)) + b"\n"


def _add(parent: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(parent, tag).text = text
