"""A source in one word, as a person types it."""

from collections.abc import Mapping
from pathlib import Path

from vigie import adapters
from vigie.errors import BadSetting
from vigie.ports import FrameSource


def source_spec(text: str) -> tuple[str, dict[str, object]]:
    """The adapter and its options of `synthetic`, `synthetic:seed=7,fps=5`, or a path (which means `files`).

    Raises:
        BadSetting: neither a source nor a path, or options that are no `name=value`.
    """
    known = adapters.names("source")
    name, _, rest = text.partition(":")
    if name in known:
        return name, _options(text, rest)
    if text and Path(text).exists():
        return "files", {"path": text}
    raise BadSetting(f"{text!r} is neither a file, a folder nor a source; the sources are: {', '.join(known)}")


def open_source(text: str, more: Mapping[str, object] | None = None) -> FrameSource:
    """Build the source that `text` names; `more` are options that win over those in it.

    Raises:
        BadSetting: as `source_spec`, and whatever the adapter refuses.
    """
    name, options = source_spec(text)
    source: FrameSource = adapters.build("source", name, {**options, **(more or {})})
    return source


def _options(text: str, rest: str) -> dict[str, object]:
    options: dict[str, object] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not (key and equals):
            raise BadSetting(f"{text!r}: {part!r} is no option; write {text.partition(':')[0]}:name=value,name=value")
        options[key.strip()] = value.strip()
    return options
