"""A message of the file with its place in it: fields by name, as what the format's definition says they are."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from google.protobuf import text_format  # type: ignore[import-untyped]  # comes with TensorFlow

from vigie.errors import BadSetting
from vigie.protobuf_text.text import Field, Message, Value, Word

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value at the end of a path such as `train_config.data_augmentation_options[1].random_crop_image.min_area`.

    An empty message is a leaf, `{}`: that it stands there says something.
    """

    path: str
    line: int
    value: Value

    @property
    def written(self) -> str:
        return written(self.value)


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What was asked for, with the leaves it was read from; without leaves it is the format's default."""

    path: str
    value: T
    leaves: tuple[Leaf, ...]

    @property
    def line(self) -> int | None:
        return self.leaves[0].line if self.leaves else None

    @property
    def written(self) -> str:
        if not self.leaves:
            return f"{str(self.value).lower() if isinstance(self.value, bool) else self.value} by default"
        return ", ".join(leaf.written for leaf in self.leaves)


@dataclass(frozen=True, slots=True)
class Section:
    """A message at a path; `where` is the file."""

    message: Message
    path: str
    where: str

    @property
    def line(self) -> int:
        return self.message.line

    @property
    def written(self) -> str:
        """On one line, without the names of the messages in it."""
        inner = (f"{leaf.path.removeprefix(self.path).lstrip('.')}: {leaf.written}" for leaf in self.leaves())
        return "{" + ", ".join(inner) + "}"

    def names(self) -> list[str]:
        """Of its fields, each once, in order."""
        return list(dict.fromkeys(field.name for field in self.message.fields))

    def leaves(self) -> Iterator[Leaf]:
        """All values below, in the file's order."""
        for path, field in self._paths():
            if isinstance(field.value, Message) and field.value.fields:
                yield from Section(field.value, path, self.where).leaves()
            else:
                yield Leaf(path, field.line, field.value)

    def sections(self, name: str) -> list["Section"]:
        """Messages of this name.

        Raises:
            BadSetting: there is a plain value of this name.
        """
        return [Section(self._message(field), path, self.where) for path, field in self._paths() if field.name == name]

    def section(self, name: str) -> "Section | None":
        """The message of this name.

        Raises:
            BadSetting: it stands twice, or is a plain value.
        """
        self._once(name)
        return next(iter(self.sections(name)), None)

    def number(self, name: str, default: float) -> Found[float]:
        """A `float` of the format, which is single precision: .0799999982 was .08 when somebody wrote it."""
        return self._scalar(name, default, _single_precision, "a number")

    def whole(self, name: str, default: int) -> Found[int]:
        return self._scalar(name, default, _whole, "a whole number")

    def flag(self, name: str, *, default: bool) -> Found[bool]:
        return self._scalar(name, default, _flag, "true or false")

    def text(self, name: str, default: str = "") -> Found[str]:
        return self._scalar(name, default, _text, "a quoted text")

    def numbers(self, name: str) -> Found[tuple[float, ...]]:
        return self._repeated(name, _single_precision, "a number")

    def texts(self, name: str) -> Found[tuple[str, ...]]:
        return self._repeated(name, _text, "a quoted text")

    def has(self, name: str) -> bool:
        return any(field.name == name for field in self.message.fields)

    def bad(self, leaf: Leaf, what: str) -> BadSetting:
        return BadSetting(f"{self.where}: line {leaf.line}: {leaf.path}: {what}")

    def _scalar(self, name: str, default: T, convert: Callable[[Value], T], kind: str) -> Found[T]:
        self._once(name)
        found = self._repeated(name, convert, kind)
        return Found(found.path, found.value[0] if found.value else default, found.leaves)

    def _repeated(self, name: str, convert: Callable[[Value], T], kind: str) -> Found[tuple[T, ...]]:
        leaves = tuple(Leaf(path, field.line, field.value) for path, field in self._paths() if field.name == name)
        values = []
        for leaf in leaves:
            try:
                values.append(convert(leaf.value))
            except ValueError as error:
                raise self.bad(leaf, f"expected {kind}, found {leaf.written}") from error
        return Found(_below(self.path, name), tuple(values), leaves)

    def _once(self, name: str) -> None:
        twice = [field for field in self.message.fields if field.name == name][1:]
        if twice:
            path = _below(self.path, name)
            raise BadSetting(f"{self.where}: line {twice[0].line}: {path}: stands there a second time; keep one")

    def _message(self, field: Field) -> Message:
        if not isinstance(field.value, Message):
            leaf = Leaf(_below(self.path, field.name), field.line, field.value)
            raise self.bad(leaf, f"expected a message in braces, found {leaf.written}")
        return field.value

    def _paths(self) -> Iterator[tuple[str, Field]]:
        """Fields with their paths, numbered from 0 where a name stands more than once."""
        often = Counter(field.name for field in self.message.fields)
        seen: Counter[str] = Counter()
        for field in self.message.fields:
            number = f"[{seen[field.name]}]" if often[field.name] > 1 else ""
            seen[field.name] += 1
            yield _below(self.path, field.name) + number, field


def written(value: Value) -> str:
    """As a person would write it, on one line."""
    if isinstance(value, Message):
        return "{ ... }" if value.fields else "{}"
    return str(value) if isinstance(value, Word) else repr(value)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _word(value: Value) -> str:
    if not isinstance(value, Word):
        raise ValueError(value)
    return value.written


def _single_precision(value: Value) -> float:
    number = float(text_format.ParseFloat(_word(value)))
    single = np.float32(number) if abs(number) < np.finfo(np.float32).max else np.float32(np.inf)
    if not np.isfinite(single):
        raise ValueError(value)
    return float(str(single))


def _whole(value: Value) -> int:
    return int(text_format.ParseInteger(_word(value), is_signed=True))


def _flag(value: Value) -> bool:
    return bool(text_format.ParseBool(_word(value)))


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value
