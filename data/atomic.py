"""Folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vigie.errors import BadData


@contextmanager
def whole_folder(out: Path, *, marker: str) -> Iterator[Path]:
    """A new folder beside `out` to fill, renamed to `out` at the end of the block and removed if it raises.

    What stands at `out` is replaced only if it is empty or holds the file `marker`, which the caller writes too:
    nobody loses a folder of another kind to a misspelt path. What killed runs left beside it is removed.

    Raises:
        BadData: something else stands at `out`.
    """
    _refuse_strangers(out, marker)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    unfinished = out.parent / f".{out.name}.unfinished-{os.getpid()}"
    unfinished.mkdir()
    try:
        yield unfinished
        _replace(out, unfinished)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _refuse_strangers(out: Path, marker: str) -> None:
    if out.is_dir() and not (out / marker).is_file() and any(out.iterdir()):
        raise BadData(f"{out}: holds files of another kind (no {marker}); choose another folder or empty it")
    if out.exists() and not out.is_dir():
        raise BadData(f"{out}: is a file; choose another place for the folder")


def _replace(out: Path, finished: Path) -> None:
    old = out.parent / f".{out.name}.replaced-{os.getpid()}"
    if out.exists():
        out.rename(old)
    finished.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(out: Path) -> None:
    for pattern in (f".{out.name}.unfinished-*", f".{out.name}.replaced-*"):
        for leftover in out.parent.glob(pattern):
            if not _alive(leftover.name.rpartition("-")[2]):
                shutil.rmtree(leftover, ignore_errors=True)


def _alive(pid: str) -> bool:
    # Our own number can only be an earlier process's that had it before.
    if not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
