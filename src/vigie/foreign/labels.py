"""The names of a model's classes: a file in it, beside it or named by its sidecar.

One a line, as TensorFlow Lite's `labelmap.txt` and Darknet's `.names`, or `label_map.pbtxt` of the TF Object Detection
API. "???" stands where a number is not used, and the first row may be the background's.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from vigie.errors import BadBundle
from vigie.foreign.sidecar import Sidecar
from vigie.label_map import labels_by_id

_UNUSED = frozenset({"???", "n/a", ""})
_BACKGROUND = frozenset({"???", "background", "__background__"})
_NUMBERED = re.compile(r"^\d+[ \t:]+(?=\S)")
_USUAL = (
    "{stem}.txt",
    "{stem}.names",
    "labelmap.txt",
    "labels.txt",
    "labels*.txt",
    "*labels.txt",
    "*.names",
    "*.pbtxt",
)


def rows_of(model: Path, sidecar: Sidecar, packed: Sequence[str] = ()) -> list[str]:
    """The rows as they stand: of the sidecar, else `packed` (those in the model file), else of a file beside it.

    Raises:
        BadBundle: there are none, or two files that both might be meant.
        BadSetting: a label map that cannot be read.
    """
    if isinstance(sidecar.labels, tuple):
        return list(sidecar.labels)
    if sidecar.labels is not None:
        return _read(model.parent / sidecar.labels)
    if packed:
        return list(packed)
    found = beside(model)
    if found is None:
        raise BadBundle(
            f"{model}: has no labels in it and none beside it; put labelmap.txt beside it, one name a line, "
            f"or name a file under `labels` in {model.name}.yaml"
        )
    return _read(found)


def beside(model: Path) -> Path | None:
    """The labels file that lies beside the model, by the usual names.

    Raises:
        BadBundle: several might be meant.
    """
    for pattern in _USUAL:
        found = sorted(model.parent.glob(pattern.format(stem=_escaped(model.stem))))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise BadBundle(f"{model}: beside it lie {names}; name one under `labels` in {model.name}.yaml")
        if found:
            return found[0]
    return None


def names_of(rows: Sequence[str]) -> list[str | None]:
    """None where a row stands for nothing; a name that comes twice is one label."""
    return [None if row.strip().lower() in _UNUSED else row.strip() for row in rows]


def has_background(rows: Sequence[str]) -> bool:
    """Whether the first row looks like the background's."""
    return bool(rows) and rows[0].strip().lower() in _BACKGROUND


def of_columns(rows: Sequence[str], columns: int, background: bool | None, where: str) -> list[str | None]:
    """A name a score, None for the background: in the rows it may be missing.

    Raises:
        BadBundle: the labels do not count up to the scores.
    """
    first = has_background(rows) if background is None else background
    if len(rows) == columns:
        return [None, *names_of(rows[1:])] if first else names_of(rows)
    if len(rows) == columns - 1 and background is not False and not has_background(rows):
        return [None, *names_of(rows)]
    if len(rows) == columns + 1 and has_background(rows):
        return names_of(rows[1:])
    raise BadBundle(f"{where}: gives {columns} scores a box and has {len(rows)} labels; give it the labels that it has")


def of_classes(rows: Sequence[str], classes: int | None, background: bool | None, where: str) -> list[str | None]:
    """A name a class number; the rows may begin with the background, which boxes that were decoded never carry.

    `classes`: how many the model tells apart, where it says so.

    Raises:
        BadBundle: there are fewer labels than classes.
    """
    counted = background is not True and has_background(rows)
    names = names_of(rows[1:] if counted else rows)
    if background is True and names:
        names[0] = None
    if classes is not None and len(names) < classes:
        raise BadBundle(f"{where}: tells {classes} classes apart and has {len(names)} labels; give it those it has")
    return names


def rows_in(text: str) -> list[str]:
    """Without the empty ones at its end; where all rows begin with a number, each stands at its own."""
    rows = [row.strip() for row in text.lstrip("\ufeff").splitlines()]
    while rows and not rows[-1]:
        rows.pop()
    if rows and all(_NUMBERED.match(row) for row in rows):
        numbered = {int(row.split(maxsplit=1)[0].rstrip(":")): _NUMBERED.sub("", row) for row in rows}
        return [numbered.get(number, "???") for number in range(max(numbered) + 1)]
    return rows


def _read(path: Path) -> list[str]:
    if path.suffix == ".pbtxt":
        names = labels_by_id(path, display=True)
        first = min(names, default=0)  # usually 1: 0 is the background's
        return [names.get(number, "???") for number in range(first, max(names, default=-1) + 1)]
    try:
        rows = rows_in(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise BadBundle(f"{path}: the labels cannot be read: {error}") from error
    if not any(names_of(rows)):
        raise BadBundle(f"{path}: has no labels in it; write one name a line")
    return rows


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)
