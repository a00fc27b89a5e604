"""YOLO text files as they stand, faults and all: what `vigie.yolo` would refuse is kept beside what could be read."""

from collections.abc import Sequence
from pathlib import Path

from vigie.data.doctor.label_files import Corners, LabelFile, MarkedObject, Problem, Unreadable, content_of

_SLACK = 0.01  # tools write 1.000002
_ANY_SIZE = (1000, 1000)  # of boxes whose picture is unknown: their shape can be judged, their place cannot


def read_yolo_file(
    path: Path, name: str, classes: Sequence[str] | None, picture_size: tuple[int, int] | None
) -> LabelFile:
    """Read what can be read; `name` is the file's in messages.

    `classes` is None where their names are unknown; `picture_size` is the width and height of the upright picture.
    """
    try:
        lines = content_of(path).decode("utf-8-sig").splitlines()
    except Unreadable as error:
        if error.problem.code == "annotation-empty":
            return LabelFile(name, path.stem)  # which says that no object is on the picture
        return LabelFile(name, path.stem, problems=(error.problem,), readable=False)
    except UnicodeDecodeError as error:
        problem = Problem("annotation-corrupt", f"it is no text: {error}")
        return LabelFile(name, path.stem, problems=(problem,), readable=False)
    read = [
        _object(line.split(), number, classes, picture_size or _ANY_SIZE)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    objects = tuple(it for it in read if isinstance(it, MarkedObject))
    return LabelFile(name, path.stem, objects=objects, problems=tuple(it for it in read if isinstance(it, Problem)))


def _object(
    fields: list[str], number: int, classes: Sequence[str] | None, size: tuple[int, int]
) -> MarkedObject | Problem:
    if len(fields) != 5:
        return Problem("line-incomplete", f"it has {len(fields)} values, 5 are wanted", number)
    label = _label(fields[0], classes)
    if label is None:
        known = "" if classes is None else f"; there are {len(classes)}, counted from 0"
        return Problem("class-id-unknown", f"its class is {fields[0]!r:.40}{known}", number)
    said = " ".join(fields[1:])
    try:
        x, y, wide, high = map(float, fields[1:])
    except ValueError:
        return Problem("line-incomplete", f"{said!r:.80} are not four numbers", number)
    # Written so that NaN fails too.
    if not all(0 - _SLACK <= share <= 1 + _SLACK for share in (x, y, wide, high)):
        return Problem("shares-outside", f"{said:.80} are no shares of a picture's sides, from 0 to 1", number)
    return MarkedObject(number, label, _corners((x, y, wide, high), size))


def _label(text: str, classes: Sequence[str] | None) -> str | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        return None
    if classes is None:
        return f"class {int(text)}"
    return classes[int(text)] if int(text) < len(classes) else None


def _corners(shares: tuple[float, float, float, float], size: tuple[int, int]) -> Corners:
    (x, y, wide, high), (width, height) = shares, size
    exact = (x - wide / 2) * width, (y - high / 2) * height, (x + wide / 2) * width, (y + high / 2) * height
    # Six digits are customary: rounding gives whole pixels back, where it leaves an area.
    left, top, right, bottom = (round(value, 2) for value in exact)
    rounded = Corners(left, top, right, bottom, first=0)
    return rounded if rounded.ordered else Corners(exact[0], exact[1], exact[2], exact[3], first=0)
