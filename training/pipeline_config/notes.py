"""What became of each value of the file: the record of a translation, and the settings that it makes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel

from vigie.experiment import Experiment
from vigie.protobuf_text.sections import Found, Section, written


@dataclass(frozen=True, slots=True)
class Note:
    """What became of a field.

    A translated one has a `setting` of the experiment, such as `training.batch`, and what it is `now`; a `reason` says
    where the two are not quite the same. One without a setting has no counterpart, or changes nothing: see `reason`.
    """

    field: str
    line: int | None
    """None: it is not in the file, the format's default counts."""
    was: str
    setting: str = ""
    now: str = ""
    reason: str = ""


Read: TypeAlias = Found[Any] | Section
"""What was read of the file: a value, or a message with all that is in it."""


class Book:
    """Settings by their dotted names, and notes; each value of the file ends in one of the three lists."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.translated: list[Note] = []
        self.left: list[Note] = []
        self.same: list[Note] = []
        self._done: set[str] = set()

    def take(self, setting: str, value: Any, read: Read, why: str = "") -> None:
        """Set it, to the nearest that Vigie takes; a value that is nowhere near is left."""
        nearest, bounds = _nearest(setting, value)
        if nearest is None:
            self.leave(read, f"{setting} is {bounds}")
            return
        self.settings[setting] = nearest
        self.join(setting, read, "; ".join(filter(None, [why, f"{setting} is {bounds}" if nearest != value else ""])))

    def join(self, setting: str, read: Read, why: str = "") -> None:
        """Note that this too stands behind a setting that was taken."""
        self.tell(setting, _short(self.settings[setting]) if setting in self.settings else "", read, why)

    def tell(self, setting: str, now: str, read: Read, why: str = "") -> None:
        """Note what became of it, without setting anything."""
        was = read.written if isinstance(read, Found) else written(read.message)
        self._note(self.translated, Note(read.path, read.line, was, setting, now, why), read)

    def leave(self, read: Read, why: str) -> None:
        """Note that this has no counterpart. What is not in the file is not missed."""
        if isinstance(read, Section):
            self._done |= {leaf.path for leaf in read.leaves()}  # what is in it goes with it
        elif not read.leaves:
            return
        self._note(self.left, Note(read.path, read.line, read.written, reason=why), read)

    def keep(self, read: Read, why: str) -> None:
        """Note that this changes nothing: Vigie always does so, or it never had an effect."""
        if isinstance(read, Section) or read.leaves:
            self._note(self.same, Note(read.path, read.line, read.written, reason=why), read)

    def open(self, root: Section) -> Iterator[Found[Any]]:
        """What is in the file and in no list yet."""
        for leaf in root.leaves():
            if leaf.path not in self._done:
                yield Found(leaf.path, leaf.value, (leaf,))

    def _note(self, notes: list[Note], note: Note, read: Read) -> None:
        self._done |= {leaf.path for leaf in read.leaves} if isinstance(read, Found) else {read.path}
        notes.append(note)

    def nested(self) -> dict[str, Any]:
        """The settings as an experiment's sections."""
        whole: dict[str, Any] = {}
        for setting, value in self.settings.items():
            *sections, name = setting.split(".")
            place = whole
            for section in sections:
                place = place.setdefault(section, {})
            place[name] = value
        return whole


def _short(value: Any) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, tuple | list) else str(value)


def _nearest(setting: str, value: Any) -> tuple[Any, str]:
    """The nearest allowed value, None where there is none, and the bounds in words; by the experiment's own rules."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value, ""
    limits = _limits(setting)
    nearest: float = value
    step = limits.get("multiple_of")
    if step:
        nearest = math.ceil(nearest / step) * step  # up: a smaller input would lose the smallest objects
    nearest = min(max(nearest, limits.get("ge", -math.inf)), limits.get("le", math.inf))
    words = [f"at least {limits['ge']}" if "ge" in limits else "", f"at most {limits['le']}" if "le" in limits else ""]
    words += [f"above {limits['gt']}" if "gt" in limits else "", f"below {limits['lt']}" if "lt" in limits else ""]
    words.append(f"a multiple of {step}" if step else "")
    bounds = ", ".join(filter(None, words))
    if nearest <= limits.get("gt", -math.inf) or nearest >= limits.get("lt", math.inf):
        return None, bounds
    return nearest, bounds


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a field can hold; anchors, for one, are a section or the word auto."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _limits(setting: str) -> dict[str, float]:
    model: type[BaseModel] = Experiment
    *sections, name = setting.split(".")
    for section in sections:
        model = next(_models(model.model_fields[section].annotation))
    return {
        key: getattr(rule, key)
        for rule in model.model_fields[name].metadata
        for key in ("ge", "le", "gt", "lt", "multiple_of")
        if getattr(rule, key, None) is not None
    }
