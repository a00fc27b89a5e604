"""A Darknet network's `.cfg` and what lies beside it: sections of `key=value`, the first of them [net]."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from vigie.errors import BadBundle
from vigie.foreign.labels import rows_in, rows_of
from vigie.foreign.sidecar import Sidecar

Section: TypeAlias = tuple[str, Mapping[str, str]]

_YOLO = ("yolo", "region")
_LARGEST_SIDE = 4096
_MOST_BYTES = 1 << 20
_SECTION = re.compile(r"\[(\w+)\]")


@dataclass(frozen=True, slots=True)
class DarknetCfg:
    """`width` and `height` of the input in pixels; `classes` of every YOLO layer."""

    path: Path
    sections: Sequence[Section]
    width: int
    height: int
    classes: int
    letterbox: bool

    def for_opencv(self) -> bytes:
        """The file with all boxes let out of the YOLO layers: OpenCV drops scores under .2, as no command of Darknet's
        does, and it is `vigie.decoding` that thins them out.
        """
        lines: list[str] = []
        for name, values in self.sections:
            own = {**values, "thresh": "0", "nms_threshold": "0"} if name in _YOLO else values
            lines += [f"[{name}]", *(f"{key}={value}" for key, value in own.items())]
        return ("\n".join(lines) + "\n").encode()


def read_cfg(path: Path) -> DarknetCfg:
    """Read and check it.

    Raises:
        BadBundle: it is no `.cfg`, or its network finds no boxes.
    """
    sections = _sections(path)
    if not sections or sections[0][0] not in ("net", "network"):
        raise BadBundle(f"{path}: is no .cfg of Darknet: it does not start with [net]")
    net = sections[0][1]
    heads = [values for name, values in sections if name in _YOLO]
    if not heads:
        raise BadBundle(f"{path}: has no [yolo] layer, so it finds no boxes; give the .cfg of a detector")
    counts = {_number(values, "classes", path, most=100_000) for values in heads}
    if len(counts) > 1:
        raise BadBundle(f"{path}: its [yolo] layers tell different numbers of classes: {sorted(counts)}")
    return DarknetCfg(
        path=path,
        sections=sections,
        width=_number(net, "width", path, most=_LARGEST_SIDE),
        height=_number(net, "height", path, most=_LARGEST_SIDE),
        classes=counts.pop(),
        letterbox=net.get("letter_box", "0") == "1",
    )


def weights_beside(cfg: DarknetCfg) -> Path:
    """The `.weights` of the same name.

    Raises:
        BadBundle: there are none.
    """
    path = cfg.path.with_suffix(".weights")
    if not path.is_file():
        raise BadBundle(f"{cfg.path}: needs {path.name} beside it, which is not there; copy it, or fetch it again")
    return path


def labels_of(cfg: DarknetCfg, sidecar: Sidecar) -> Sequence[str]:
    """Those that the sidecar names; else the lines of the `.names` of the same name; else of the one in the folder that
    has a line for each class.

    Raises:
        BadBundle: they do not count up to the classes, or more than one file might be meant.
    """
    if sidecar.labels is not None:
        rows = rows_of(cfg.path, sidecar)
        if len(rows) != cfg.classes:
            raise BadBundle(f"{cfg.path}: finds {cfg.classes} classes, and its sidecar gives it {len(rows)} labels")
        return rows
    own = cfg.path.with_suffix(".names")
    found = {path: _rows(path) for path in ([own] if own.is_file() else sorted(cfg.path.parent.glob("*.names")))}
    fitting = [path for path, rows in found.items() if len(rows) == cfg.classes]
    if len(fitting) == 1:
        return found[fitting[0]]
    told = ", ".join(f"{path.name} with {len(rows)}" for path, rows in found.items()) or "none"
    raise BadBundle(
        f"{cfg.path}: finds {cfg.classes} classes, and of .names with as many lines there are {len(fitting)} beside it "
        f"(found: {told}); put the labels into {own.name}, one a line, in the order of the training"
    )


def _sections(path: Path) -> list[tuple[str, dict[str, str]]]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadBundle(f"{path}: is too large for a .cfg of Darknet ({path.stat().st_size} bytes)")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadBundle(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadBundle(f"{path}: is no .cfg of Darknet: it is not text") from error
    sections: list[tuple[str, dict[str, str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.split("#")[0].split(";")[0].strip()
        key, equals, value = bare.partition("=")
        if head := _SECTION.fullmatch(bare):
            sections.append((head[1], {}))
        elif equals and sections:
            sections[-1][1][key.strip()] = value.strip()
        elif bare:
            raise BadBundle(
                f"{path}: is no .cfg of Darknet: line {number} is {bare[:40]!r}, expected [layer] or key=value"
            )
    return sections


def _number(values: Mapping[str, str], key: str, path: Path, *, most: int) -> int:
    told = values.get(key, "")
    if not (told.isascii() and told.isdigit()) or not 1 <= int(told) <= most:
        raise BadBundle(f"{path}: {key} is {told or 'missing'}, expected a whole number from 1 to {most}")
    return int(told)


def _rows(path: Path) -> Sequence[str]:
    try:
        return rows_in(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise BadBundle(f"{path}: the labels cannot be read: {error}") from error
