"""Pascal VOC label files of the plainest form, read at a tenth of the time that a tree takes.

The pattern takes the tags in the order in which LabelImg and its kin write them, plain ASCII texts and whole numbers.
Whatever else a file holds, an attribute, an entity, a fraction, is not plain, and `vigie.voc` reads it; of a plain
file both give the same.
"""

import re
from dataclasses import dataclass

# Possessive throughout (*+): nothing is ever tried twice, so a hostile file takes no longer than its length.
_W = rb"[ \t\r\n]*+"
_TEXT = rb"[ -%'-;=?-~]*+"  # printable, and none of & < >
_SOME = rb"[\t\r\n -%'-;=?-~]*+"


def _tag(name: bytes, content: bytes) -> bytes:
    return b"<" + name + b">" + _W + content + _W + b"</" + name + b">" + _W


def _skipped(*names: bytes) -> bytes:
    """Any of these, any number of times; they say nothing that is used."""
    each = b"|".join(b"<" + name + b">" + _SOME + b"</" + name + b">" + _W for name in names)
    return b"(?:" + each + b")*+"


def _head() -> bytes:
    source = (
        b"(?:<source>" + _W + _skipped(b"database", b"annotation", b"image", b"flickrid") + b"</source>" + _W + b")?"
    )
    size = _tag(
        b"size",
        _tag(b"width", rb"([1-9]\d{0,5})") + _tag(b"height", rb"([1-9]\d{0,5})") + _skipped(b"depth"),
    )
    return (
        rb'(?:<\?xml version="1\.0"(?: encoding="(?:utf|UTF)-8")?\?>)?' + _W + b"<annotation>" + _W
        + _skipped(b"folder") + b"(?:" + _tag(b"filename", b"(" + _TEXT + b")") + b")?" + _skipped(b"path") + source
        + b"(?:" + size + b")?" + _skipped(b"segmented")
    )  # fmt: skip


def _object() -> bytes:
    rest = _skipped(b"pose", b"truncated", b"occluded", b"difficult")
    corners = b"".join(_tag(name, rb"(\d{1,6})") for name in (b"xmin", b"ymin", b"xmax", b"ymax"))
    return _tag(b"object", _tag(b"name", b"(" + _TEXT + b")") + rest + _tag(b"bndbox", corners) + rest)


_HEAD, _OBJECT, _END = re.compile(_head()), re.compile(_object()), re.compile(b"</annotation>" + _W)


@dataclass(frozen=True, slots=True)
class PlainLabels:
    """What a plain label file says. `labels` are stripped, `corners` are left, top, right and bottom, from 0."""

    filename: str
    size: tuple[int, int] | None
    labels: list[bytes]
    corners: list[tuple[int, int, int, int]]


def plain_labels(content: bytes) -> PlainLabels | None:
    """None where the file is not plain, names a picture by more than its name, or a box has no area."""
    head = _HEAD.match(content)
    if head is None:
        return None
    named, width, height = head.groups()
    filename = "" if named is None else named.strip().decode()
    if "/" in filename or "\\" in filename or filename in (".", ".."):
        return None
    labels, corners = [], []
    at = head.end()
    while found := _OBJECT.match(content, at):
        name, xmin, ymin, xmax, ymax = found.groups()
        left, top, right, bottom = int(xmin) - 1, int(ymin) - 1, int(xmax), int(ymax)
        label = name.strip()
        if not (label and left < right and top < bottom):
            return None
        labels.append(label)
        corners.append((left, top, right, bottom))
        at = found.end()
    if not _END.fullmatch(content, at):
        return None
    return PlainLabels(
        filename,
        None if width is None else (int(width), int(height)),
        labels,
        corners,
    )
