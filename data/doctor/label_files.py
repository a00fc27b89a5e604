"""Label files as they stand, faults and all: what `vigie.voc` would refuse is kept beside what could be read."""

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
    """VOC's numbers: pixels from 1, the last one included; in any order."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    @property
    def ordered(self) -> bool:
        """False where no pixel or only one line of them is inside."""
        return self.xmin < self.xmax and self.ymin < self.ymax


@dataclass(frozen=True, slots=True)
class MarkedObject:
    """`label` as it is written, space and all; objects that lack a part are problems and not here."""

    number: int
    label: str
    corners: Corners


@dataclass(frozen=True, slots=True)
class LabelFile:
    """One label file; whatever could not be read is a problem. `filename` is a bare name or None.

    `readable` is False where nothing could be read, not even that no object is marked.
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
        root = _parse(_content(path))
    except _Unreadable as error:
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


class _Unreadable(Exception):
    """Nothing of the file can be read."""

    def __init__(self, code: str, found: str) -> None:
        super().__init__(found)
        self.problem = Problem(code, found)


def _content(path: Path) -> bytes:
    try:
        length = path.stat().st_size
        if length > MAX_BYTES:
            raise _Unreadable("annotation-too-large", f"{length} bytes, over the limit of {MAX_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise _Unreadable("annotation-unreadable", f"it cannot be read: {error.strerror}") from error
    if not content.strip():
        raise _Unreadable("annotation-empty", "the file is empty")
    return content


def _parse(content: bytes) -> etree._Element:
    entities = _Unreadable("annotation-entities", "it holds a document type or entities")
    # Looked for before anything is parsed, and again afterwards: an encoding may hide it here.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise entities
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise _Unreadable("annotation-corrupt", f"not well-formed XML: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise entities
    if root.tag != "annotation":
        raise _Unreadable("annotation-not-voc", f"the outermost tag is <{root.tag}>")
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
    values: list[float] = []
    for tag in _CORNERS:
        value = _number(places[0].findtext(tag))
        if value is None:
            return Problem("object-incomplete", f"its <{tag}> is {places[0].findtext(tag)!r:.40}", number)
        values.append(value)
    return MarkedObject(number, label, Corners(*values))


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
