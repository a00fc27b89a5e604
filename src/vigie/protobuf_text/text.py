"""Protobuf's text format, read without the message types it was written for.

The TF Object Detection API's types are not packaged any more. What a value means (an enumeration, a whole number) is
known to who asks for it: see `vigie.protobuf_text.sections`. The words are cut by protobuf's own tokenizer.
Format: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from google.protobuf import text_format  # type: ignore[import-untyped]  # comes with TensorFlow

from vigie.errors import BadSetting

_DEEPEST = 64
_CLOSING = {"{": "}", "<": ">"}
_QUOTES = ("'", '"')
_SEPARATORS = (",", ";")


@dataclass(frozen=True, slots=True)
class Word:
    """A number, a truth value or the name of an enumeration's value, as it is written; numbers are sound."""

    written: str

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True, slots=True)
class Message:
    """Fields in the file's order; a repeated field stands there as often as it has values."""

    fields: "tuple[Field, ...]"
    line: int


Value: TypeAlias = Word | str | bytes | Message
"""`str` is a quoted string; bytes one that is no UTF-8."""


@dataclass(frozen=True, slots=True)
class Field:
    """An extension's name is in brackets. Lines count from 1."""

    name: str
    value: Value
    line: int


def read_text(path: Path) -> Message:
    """The message of a file.

    Raises:
        BadSetting: no such file, not text, empty, or not protobuf's text format, with the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadSetting(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadSetting(f"{path}: is no text (byte {error.start}); expected protobuf's text format") from error
    if "\0" in text:
        raise BadSetting(f"{path}: is binary; expected protobuf's text format")
    message = parse(text, str(path))
    if not message.fields:
        raise BadSetting(f"{path}: holds nothing but space and comments")
    return message


def parse(text: str, where: str) -> Message:
    """The message of a text; `where` names it in errors.

    Raises:
        BadSetting: not protobuf's text format, with the line.
    """
    parser = _Parser(text)
    try:
        return parser.message()
    except _Wrong as error:
        raise BadSetting(f"{where}: line {error.line}: {error}") from error
    except text_format.ParseError as error:
        raise BadSetting(f"{where}: {parser.reason(error)}") from error


class _Wrong(Exception):
    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


class _Parser:
    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._tokens = text_format.Tokenizer(self._lines)

    def message(self) -> Message:
        return self._fields(closing="", line=1, depth=0)

    def _fields(self, *, closing: str, line: int, depth: int) -> Message:
        if depth > _DEEPEST:
            raise self._bad(f"nested deeper than {_DEEPEST} messages")
        fields: list[Field] = []
        while not self._at_end_of(closing, line):
            fields += self._field(depth)
            for separator in _SEPARATORS:
                if self._tokens.TryConsume(separator):
                    break
        return Message(tuple(fields), line)

    def _at_end_of(self, closing: str, line: int) -> bool:
        if not self._tokens.AtEnd():
            return bool(closing) and bool(self._tokens.TryConsume(closing))
        if closing:
            raise _Wrong(line, f"the message that begins here is never closed, {closing!r} is missing")
        return True

    def _field(self, depth: int) -> list[Field]:
        line = self._line()
        name = self._extension() if self._tokens.LookingAt("[") else self._name()
        # Before a message the colon may be left out.
        if not self._tokens.TryConsume(":") and self._tokens.token not in _CLOSING:
            raise self._bad(f"expected ':' or '{{' after {name}, found {self._found()}")
        if self._tokens.TryConsume("["):
            return [Field(name, value, line) for value in self._list(depth)]
        return [Field(name, self._value(depth), line)]

    def _name(self) -> str:
        if not self._tokens.token[:1].isalpha() and self._tokens.token[:1] != "_":
            raise self._bad(f"expected the name of a field, found {self._found()}")
        return str(self._tokens.ConsumeIdentifier())

    def _extension(self) -> str:
        parts = []
        while not self._tokens.AtEnd():
            part = self._tokens.token
            parts.append(part)
            self._tokens.NextToken()
            if part == "]":
                return "".join(parts)
        raise self._bad("the name of an extension is never closed, ']' is missing")

    def _list(self, depth: int) -> list[Value]:
        values: list[Value] = []
        if self._tokens.TryConsume("]"):
            return values
        while True:
            values.append(self._value(depth))
            if self._tokens.TryConsume("]"):
                return values
            if not self._tokens.TryConsume(","):
                raise self._bad(f"expected ',' or ']' in a list, found {self._found()}")

    def _value(self, depth: int) -> Value:
        token, line = self._tokens.token, self._line()
        if token in _CLOSING:
            self._tokens.Consume(token)
            return self._fields(closing=_CLOSING[token], line=line, depth=depth + 1)
        if token.startswith(_QUOTES):
            return _decoded(self._tokens.ConsumeByteString())
        if not token or not (token[0].isalnum() or token[0] in "_-+."):
            raise self._bad(f"expected a value, found {self._found()}")
        if not (token[0].isalpha() or token[0] == "_" or _is_number(token)):
            raise self._bad(f"{token!r} is no number")
        self._tokens.NextToken()
        return Word(token)

    def _line(self) -> int:
        return int(self._tokens.ParseError("").GetLine())

    def _found(self) -> str:
        return repr(self._tokens.token) if self._tokens.token else "the end of the file"

    def _bad(self, what: str) -> _Wrong:
        return _Wrong(self._line(), what)

    def reason(self, error: text_format.ParseError) -> str:
        """What the tokenizer says, without the whole line that it quotes."""
        line, column = error.GetLine(), error.GetColumn()
        said = str(error).removeprefix(f"{line}:{column} : ").removeprefix(f"'{self._lines[line - 1]}': ")
        return f"line {line}: {' '.join(said.split())}"


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _is_number(token: str) -> bool:
    for convert in (text_format.ParseInteger, text_format.ParseFloat):
        try:
            convert(token)
        except ValueError:
            continue
        return "_" not in token  # which Python would take
    return False
