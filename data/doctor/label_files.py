"""Label files as they stand, faults and all: what the readers of `vigie.layouts` would refuse is kept, too.

Here are Pascal VOC's; the others are in `coco_files` and `yolo_files`.
"""

from dataclasses import dataclass
from pathlib import Path

from lxml import etree

MAX_BYTES = 8 << 20
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_LARGEST = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something could not be read; `code` is one of `vigie.data.doctor.findings.KINDS`."""

    code: str
    found: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Corners:
    """In pixels, in any order, as the format counts them: VOC calls the first one 1 and includes the last.

    `first` is the number of the first pixel: 1, or 0 where right and bottom are exclusive.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    first: int = 1

    @property
    def ordered(self) -> bool:
        """False where no pixel or only one line of them is inside."""
        return self.xmin < self.xmax and self.ymin < self.ymax


@dataclass(frozen=True, slots=True)
class MarkedObject:
    """`label` as it is written, space and all; objects that lack a part are problems and not here.

    `number` counts from 1; it is the line of a text file and the annotation's id in a COCO file.
    """

    number: int
    label: str
    corners: Corners


@dataclass(frozen=True, slots=True)
class LabelFile:
    """What is said of one picture; whatever could not be read is a problem. `filename` is the picture's or None.

    `name` is the file's, and the picture's entry where one file speaks of all. `readable` is False where nothing
    could be read, not even that no object is marked.
    """

    name: str
    stem: str
    filename: str | None = None
    size: tuple[int, int] | None = None
    objects: tuple[MarkedObject, ...] = ()
    problems: tuple[Problem, ...] = ()
    readable: bool = True


def read_label_file(path: Path, name: str) -> LabelFile:
    """Read what can be read; `name` is the file's in messages. Entities are never expanded, nothing else is opened."""
    try:
        root = _parse(content_of(path))
    except Unreadable as error:
        return LabelFile(name, path.stem, problems=(error.problem,), readable=False)
    problems: list[Problem] = []
    objects: list[MarkedObject] = []
    for number, element in enumerate(root.findall("object"), start=1):
        marked = _object(element, number)
        if isinstance(marked, Problem):
            problems.append(marked)
        else:
            objects.append(marked)
    filename = _only_text(root, "filename")
    if filename is not None and (filename in (".", "..") or "/" in filename or "\\" in filename or "\0" in filename):
        problems.append(Problem("path-traversal", f"<filename> is {filename!r:.120}"))
        filename = None
    size = _size(root)
    if isinstance(size, Problem):
        problems.append(size)
    read = None if isinstance(size, Problem) else size
    return LabelFile(name, path.stem, filename, read, tuple(objects), tuple(problems))


class Unreadable(Exception):
    """Nothing of the file can be read."""

    def __init__(self, code: str, found: str) -> None:
        super().__init__(found)
        self.problem = Problem(code, found)


def content_of(path: Path, most_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a label file.

    Raises:
        Unreadable: it cannot be read, is too large to be one, or empty.
    """
    try:
        length = path.stat().st_size
        if length > most_bytes:
            raise Unreadable("annotation-too-large", f"{length} bytes, over the limit of {most_bytes}")
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable("annotation-unreadable", f"it cannot be read: {error.strerror}") from error
    if not content.strip():
        raise Unreadable("annotation-empty", "the file is empty")
    return content


def _parse(content: bytes) -> etree._Element:
    entities = Unreadable("annotation-entities", "it holds a document type or entities")
    # Looked for before anything is parsed, and again afterwards: an encoding may hide it here.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise entities
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise Unreadable("annotation-corrupt", f"not well-formed XML: {' '.join((error.msg or '').split())}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise entities
    if root.tag != "annotation":
        raise Unreadable("annotation-not-voc", f"the outermost tag is <{root.tag}>")
    return root


def _only_text(parent: etree._Element, tag: str) -> str | None:
    text = (parent.findtext(tag) or "").strip()
    return text or None


def _object(element: etree._Element, number: int) -> MarkedObject | Problem:
    label = element.findtext("name") or ""
    if not label.strip():
        return Problem("object-incomplete", "it has no <name>", number)
    places = element.findall("bndbox")
    if len(places) != 1:
        return Problem("object-incomplete", f"it has {len(places)} <bndbox>, one is wanted", number)
    values: dict[str, float] = {}
    for tag in _CORNERS:
        value = _number(places[0].findtext(tag))
        if value is None:
            return Problem("object-incomplete", f"its <{tag}> is {places[0].findtext(tag)!r:.40}", number)
        values[tag] = value
    corners = Corners(values["xmin"], values["ymin"], values["xmax"], values["ymax"])
    return MarkedObject(number, label, corners)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None  # NaN fails too


def _size(root: etree._Element) -> tuple[int, int] | Problem:
    size = root.find("size")
    if size is None:
        return Problem("size-missing", "it has no <size>")
    width, height = (_number(size.findtext(tag)) for tag in ("width", "height"))
    if width is None or height is None or min(width, height) < 1 or width % 1 or height % 1:
        return Problem(
            "size-unreadable", f"<size> says {size.findtext('width')!r:.40} x {size.findtext('height')!r:.40}"
        )
    return int(width), int(height)
