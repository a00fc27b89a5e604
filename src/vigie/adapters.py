"""Find adapters by name. Adding a source, a bus or a detector is adding a file: no registry is edited.

An adapter module has a dataclass `Options` and a function `build(options, **context)`. Modules are imported
only when they are chosen, so that a camera machine needs the libraries of its own adapters alone.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from vigie.errors import BadSetting, Unavailable

PACKAGES = {
    "source": "vigie.streaming.sources",
    "bus": "vigie.streaming.buses",
    "detector": "vigie.detectors",
}


def names(port: str) -> list[str]:
    """The adapters of a port, by the names of their files."""
    package = importlib.import_module(PACKAGES[port])
    return sorted(found.name for found in pkgutil.iter_modules(package.__path__))


def build(port: str, name: str, options: Mapping[str, Any], **context: Any) -> Any:
    """Check the options and make the adapter.

    Raises:
        BadSetting: an unknown name or option, or a value of the wrong type.
        Unavailable: a library that the adapter needs is not installed.
    """
    known = names(port)
    if name not in known:
        raise BadSetting(f"there is no {port} named {name!r}; there are: {', '.join(known)}")
    try:
        module = importlib.import_module(f"{PACKAGES[port]}.{name}")
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise Unavailable(
            f"the {port} {name!r} needs the package {package!r}; install it: pip install {package}"
        ) from error
    return module.build(checked(module.Options, options, f"{port} {name}"), **context)


def checked(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Make the options dataclass `kind` from plain values; unknown names and wrong types are named in the error."""
    strict = checked_dataclass(config=ConfigDict(extra="forbid"), frozen=True)(kind)
    try:
        return TypeAdapter(strict).validate_python(dict(values))
    except ValidationError as error:
        raise BadSetting(explain(error, where)) from error


def explain(error: ValidationError, where: str) -> str:
    """One line that names every wrong value: where it stands, what was found, what is wrong with it."""
    parts = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"] if part != "")
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            parts.append(f"{place}: there is no such setting")
        elif problem["type"] == "missing":
            parts.append(f"{place}: is missing")
        else:
            parts.append(f"{place}: {problem['msg'][0].lower()}{problem['msg'][1:]}, found {problem['input']!r}")
    return f"{where}: " + "; ".join(parts)
