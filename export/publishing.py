"""Make a bundle of a folder of files: whole, on the disk, in one step."""

import errno
import logging
import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from vigie.adapters import explain
from vigie.bundle import (
    CARD_FILE,
    CARD_FOLDER,
    LABELS_FILE,
    MANIFEST_FILE,
    Bundle,
    FileEntry,
    Manifest,
    ModelFacts,
    numbered,
    sha256_of,
)
from vigie.errors import BadBundle

logger = logging.getLogger(__name__)

_STAGING_PREFIX = ".unfinished-"
_STAGING_LIFE = timedelta(days=1)
_UNLISTED = (MANIFEST_FILE, CARD_FILE)


def new_staging(out: Path) -> Path:
    """An empty folder beside the versions of `out` to put a bundle's files into; never taken for a bundle.

    What interrupted exports left there goes after a day.
    """
    out.mkdir(parents=True, exist_ok=True)
    for leftover in out.glob(f"{_STAGING_PREFIX}*"):
        if datetime.now(UTC) - datetime.fromtimestamp(leftover.stat().st_mtime, UTC) > _STAGING_LIFE:
            logger.info("removed an unfinished bundle", extra={"folder": str(leftover)})
            shutil.rmtree(leftover, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=out))


def seal(staged: Path, facts: ModelFacts, *, name: str, version: int = 0) -> Bundle:
    """Write labels and manifest over the files that lie in `staged`, so that it can be opened and run there."""
    (staged / LABELS_FILE).write_text("".join(f"{label}\n" for label in facts.labels), encoding="utf-8")
    files = {
        path: FileEntry(sha256=sha256_of(staged / path), bytes=(staged / path).stat().st_size)
        for path in _listed(staged)
    }
    try:
        manifest = Manifest(**dict(facts), name=name, version=version, made_at=datetime.now(UTC), files=files)
    except ValidationError as error:
        raise BadBundle(explain(error, f"{staged}: cannot become a bundle")) from error
    (staged / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Bundle(staged, manifest)


def write_bundle(staged: Path, out: Path, facts: ModelFacts) -> Bundle:
    """Make the staged files the next version in `out`: whole, on the disk, in one step. `staged` is gone then."""
    while True:
        version = max((int(folder.name) for folder in numbered(out)), default=0) + 1
        bundle = seal(staged, facts, name=out.resolve().name, version=version)
        staged.chmod(0o755)  # mkdtemp's 0700 would hide it from a server that runs as another user
        _sync(staged)
        try:
            staged.rename(out / str(version))
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                continue  # somebody else published this number a moment ago
            raise
        _sync_folder(out)
        return Bundle(out / str(version), bundle.manifest)


def _listed(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path not in _UNLISTED and not path.startswith(f"{CARD_FOLDER}/"))


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
