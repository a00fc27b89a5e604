"""Folders that appear whole or not at all."""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vigie.errors import BadData, Unavailable

logger = logging.getLogger(__name__)


@contextmanager
def whole_folder(out: Path, *, marker: str, key: str | None = None) -> Iterator[Path]:
    """A folder beside `out` to fill, renamed to `out` at the end of the block.

    Without a `key` it is new, and removed if the block raises. With one, it is what the last block with the same key
    left when it raised or was killed, and it is kept for the next: a key stands for all that the content depends on.

    What stands at `out` is replaced only if it is empty or holds the file `marker`, which the caller writes too:
    nobody loses a folder of another kind to a misspelt path. What else ended runs left beside it is removed.

    Raises:
        BadData: something else stands at `out`.
        Unavailable: a living process fills the folder of this key.
    """
    _refuse_strangers(out, marker)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.parent / f".{out.name}.unfinished-{key[:32] if key else os.getpid()}"
    _remove_leftovers(out, "unfinished", "replaced", kept=unfinished if key else None)
    unfinished.mkdir(exist_ok=key is not None)
    lock = _locked(unfinished)
    if lock is None:
        raise Unavailable(f"{out}: another process is writing it; wait until it is done, or end it")
    try:
        yield unfinished
        _replace(out, unfinished)
    finally:
        if key is None:
            shutil.rmtree(unfinished, ignore_errors=True)
        os.close(lock)


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` for as long as the block lasts; what a killed process left is removed by the next."""
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out, "scratch", kept=None)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.scratch-", dir=out.parent))
    lock = _locked(scratch)
    if lock is None:
        raise Unavailable(f"{out}: another process is writing it; wait until it is done, or end it")
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


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


def _remove_leftovers(out: Path, *patterns: str, kept: Path | None) -> None:
    for leftover in (found for pattern in patterns for found in out.parent.glob(f".{out.name}.{pattern}-*")):
        lock = None if leftover == kept else _locked(leftover)
        if lock is not None:
            shutil.rmtree(leftover, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """A file descriptor that holds the folder until it is closed or this process ends; None if another one does."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have removed the folder before it was held.
        if os.fstat(held).st_ino == folder.stat().st_ino:
            return held
    except OSError as error:  # held by another process, or gone
        logger.debug("not held: folder=%s reason=%s", folder, error.strerror)
    os.close(held)
    return None
