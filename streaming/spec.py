"""A source in one word, as a person types it."""

import re
from collections.abc import Mapping
from pathlib import Path

from vigie import adapters
from vigie.errors import BadSetting
from vigie.ports import FrameSource

_ADDRESSES = ("rtsp://", "rtsps://")
_SECRET = re.compile(r"//[^\s]*@")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def source_spec(text: str) -> tuple[str, dict[str, object]]:
    """The adapter and its options of `synthetic`, `synthetic:seed=7,fps=5`, `0` (the number of a camera),
    `rtsp://HOST/PATH` or a path (which means `files`).

    Raises:
        BadSetting: neither a source nor a path, or options that are no `name=value`.
    """
    if text.lower().startswith(_ADDRESSES):
        return "rtsp", {"url": text}
    if text.isascii() and text.isdecimal():
        return "camera", {"device": text}
    known = adapters.names("source")
    name, _, rest = text.partition(":")
    if name in known:
        return name, _options(text, rest)
    if text and Path(text).exists():
        return "files", {"path": text}
    raise BadSetting(
        f"{without_secret(text)!r} is neither a file, a folder nor a source; the sources are: {', '.join(known)}, "
        "the number of a camera and rtsp://..."
    )


def source_name(text: str) -> str:
    """What to call the files made of a source; a password in an address stands in none of them."""
    name, options = source_spec(text)
    if name == "files":
        shown = Path(text).stem
    elif name == "rtsp":
        from vigie.streaming.sources.rtsp import public  # noqa: PLC0415 - an adapter's own

        shown = public(str(options.get("url", ""))).partition("//")[2]
    else:
        shown = f"camera-{options.get('device', 0)}" if name == "camera" else text
    return _NOT_IN_NAMES.sub("-", shown).strip("-.") or name


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
            name = text.partition(":")[0]
            raise BadSetting(
                f"{without_secret(text)!r}: {without_secret(part)!r} is no option; write {name}:name=value,name=value"
            )
        options[key.strip()] = value.strip()
    return options


def without_secret(text: str) -> str:
    """Without the user and the password of an address."""
    return _SECRET.sub("//...@", text)
