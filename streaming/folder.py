"""The pictures of a folder: those that are there, and those that come."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from vigie.errors import BadSetting

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
SETTLE_S = 0.5  # a file that did not change for so long is taken for written...
PATIENCE_S = 10.0  # ...unless it lacks its end marker, which may come for so long
_TICK_MS = 100
_END_MARKERS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}
_TAIL_BYTES = 1024  # cameras append a few bytes behind the marker


def pictures_in(folder: Path) -> list[Path]:
    """Sorted by name; hidden files are left out, they are how careful writers name what is unfinished.

    Raises:
        BadSetting: the folder cannot be read.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise BadSetting(f"{folder}: cannot be read: {error.strerror}") from error
    return sorted(path for path in entries if path.suffix.lower() in PICTURES and not path.name.startswith("."))


def arriving(folder: Path, closed: Event) -> Iterator[Path]:
    """Yield what is there and then each new name once, as soon as its file is wholly written; ends when closed.

    A file that is overwritten under a name already seen is not given again.
    """
    from watchfiles import watch  # noqa: PLC0415 - no other source needs it

    seen: set[Path] = set()
    pending: dict[Path, _Settling] = {}
    changes = watch(
        folder, recursive=False, stop_event=closed, rust_timeout=_TICK_MS, debounce=_TICK_MS, yield_on_timeout=True
    )
    first = True
    for changed in changes:
        # The first listing comes after the watch has begun, so that nothing falls between the two.
        if changed or first:
            new = (path for path in pictures_in(folder) if path not in seen and path not in pending)
            pending.update((path, _Settling(path)) for path in new)
        first = False
        for path in sorted(pending):
            state = pending[path].look()
            if state != "growing":
                del pending[path]
            if state == "whole":
                seen.add(path)
                yield path


class _Settling:
    """Judges from its size, time and end marker whether a file is still being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._since = 0.0

    def look(self) -> str:
        """`growing`, `whole` or, when it was renamed or deleted, `gone`."""
        try:
            status = self._path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            if stamp != self._stamp:
                self._stamp = stamp
                # A file that is old already has been still for long.
                self._since = time.monotonic() - max(0.0, time.time() - status.st_mtime)
            still_s = time.monotonic() - self._since
            whole = still_s >= PATIENCE_S or (still_s >= SETTLE_S and has_its_end(self._path))
        except FileNotFoundError:
            return "gone"
        return "whole" if whole else "growing"


def has_its_end(path: Path) -> bool:
    """Whether the marker that ends this kind of picture stands at the end; True for kinds without one."""
    marker = _END_MARKERS.get(path.suffix.lower())
    if marker is None:
        return True
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        return marker in file.read()
