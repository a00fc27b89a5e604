"""Pascal VOC label files (Everingham et al. 2010): one XML a picture, in the layout `annotations/` and `images/`.

VOC counts pixels from 1 and includes the last one: [1, w] becomes [0, w). Label files come from strangers:
entities, document types and huge trees are refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from lxml import etree

from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_MAX_BYTES = 8 << 20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One label file. `filename` is None where it names no picture, `size` (width, height) where it tells none.

    Boxes may reach outside the picture: see `clipped`.
    """

    path: Path
    filename: str | None
    size: tuple[int, int] | None
    objects: tuple[LabelledBox, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """What clipping did to one box; objects count from 1, as in messages. `after` is None where nothing was left."""

    number: int
    label: str
    before: Box
    after: Box | None


@dataclass(frozen=True, slots=True)
class VocFolder:
    """A folder in the Kaggle layout: its label files by name, and its pictures under their file names."""

    root: Path
    annotations: tuple[Path, ...]
    pictures: Mapping[str, Path]

    def picture_of(self, annotation: Annotation) -> Path:
        """The picture by `<filename>`, else by the label file's stem: real sets say .png and hold .jpg.

        Raises:
            BadAnnotation: there is none, or the stem fits several.
        """
        if annotation.filename is not None and annotation.filename in self.pictures:
            return self.pictures[annotation.filename]
        stem = annotation.path.stem
        found = [self.pictures[stem + ending] for ending in self._endings() if stem + ending in self.pictures]
        if len(found) == 1:
            return found[0]
        named = f"names the picture {annotation.filename!r}" if annotation.filename else "names no picture"
        if not found:
            raise BadAnnotation(
                f"{annotation.path}: <filename> {named}, and {self.root / 'images'} holds neither that nor "
                f"{stem}{{{','.join(PICTURE_ENDINGS)}}}; add the picture or remove the label file"
            )
        raise BadAnnotation(
            f"{annotation.path}: <filename> {named}, and there are several of its stem: "
            f"{', '.join(path.name for path in found)}; name one of them in <filename>"
        )

    def _endings(self) -> list[str]:
        return [spelt for ending in PICTURE_ENDINGS for spelt in (ending, ending.upper())]


def open_folder(root: Path) -> VocFolder:
    """List a data set, sorted by name; nothing is read yet.

    Raises:
        BadData: it is not in the layout that is expected, or it is empty.
    """
    expected = "expected annotations/*.xml and images/*.jpg (or png, ...)"
    if not root.is_dir():
        raise BadData(f"{root}: there is no such folder; {expected} in it")
    missing = [name for name in ("annotations", "images") if not (root / name).is_dir()]
    if missing:
        raise BadData(f"{root}: {expected}, found {_content(root)}; {' and '.join(missing)} missing")
    annotations = tuple(sorted(path for path in (root / "annotations").iterdir() if path.suffix.lower() == ".xml"))
    if not annotations:
        raise BadData(f"{root}: {expected}, found no label file: annotations/ holds {_content(root / 'annotations')}")
    pictures = {
        path.name: path for path in sorted((root / "images").iterdir()) if path.suffix.lower() in PICTURE_ENDINGS
    }
    if not pictures:
        raise BadData(f"{root}: {expected}, found no picture: images/ holds {_content(root / 'images')}")
    return VocFolder(root, annotations, pictures)


def _content(folder: Path) -> str:
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    if not names:
        return "nothing"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def read_annotation(path: Path) -> Annotation:
    """Read one label file; boxes as they stand, not yet clipped.

    Raises:
        BadAnnotation: naming the file, the object (from 1), the field and what was found.
    """
    root = _parse(path)
    where = str(path)
    filename = _text(root, "filename", where, required=False)
    if filename is not None and (filename in (".", "..") or "/" in filename or "\\" in filename):
        raise BadAnnotation(f"{path}: <filename> is {filename!r}; give the bare name of a picture in images/")
    objects = tuple(_object(element, f"{path}: object {number}") for number, element in _numbered(root))
    return Annotation(path, filename, _size(root, where), objects)


def _parse(path: Path) -> etree._Element:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadAnnotation(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise BadAnnotation(f"{path}: {len(content)} bytes are no label file; the limit is {_MAX_BYTES}")
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
        if low - 1 >= high:  # fractions may cross and still leave a part of a pixel
            raise BadAnnotation(f"{where}: {axis}min {low} lies beyond {axis}max {high}; swap or correct them")
    return LabelledBox(str(label), Box(float(xmin - 1), float(ymin - 1), float(xmax), float(ymax)))


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


def corners(box: Box) -> tuple[str, str, str, str]:
    """xmin, ymin, xmax, ymax as VOC writes them: from 1, the last pixel included."""
    return _first(box.left), _first(box.top), _plain(Decimal(repr(box.right))), _plain(Decimal(repr(box.bottom)))


def _first(value: float) -> str:
    return _plain(Decimal(repr(value)) + 1)


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


def _add(parent: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(parent, tag).text = text
