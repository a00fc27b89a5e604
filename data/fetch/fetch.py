"""Bring a data set from Kaggle, a URL, a folder or an archive on disk into a folder of one's own, checksum kept."""

import hashlib
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vigie.adapters import explain
from vigie.annotations import content_of, subfolders
from vigie.data.atomic import whole_folder
from vigie.data.fetch.archives import EXPECTED, Limits, unpack_archive
from vigie.data.fetch.kaggle import PREFIX, download_from_kaggle
from vigie.data.fetch.tree import copy_tree, tree_facts
from vigie.download import TIMEOUT_S, download
from vigie.errors import BadData, BadSetting, VigieError
from vigie.layouts import open_set

logger = logging.getLogger(__name__)
MARKER = "fetched.json"
_DEPTH = 2  # VOCdevkit/VOC2012/ in the archive
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Fetched(BaseModel):
    """What `fetched.json` tells of a folder that was fetched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    source: str = Field(description="as it was asked for; a path is absolute")
    sha256: str = Field(description="in hexadecimal, of what `sha256_of` names")
    sha256_of: Literal["archive", "files"] = Field(
        description="files: over the path and SHA-256 of each file, sorted, see `vigie.data.fetch.tree`"
    )
    bytes: int = Field(description="of all files once unpacked")
    files: int
    fetched_at: datetime


def fetch(
    source: str,
    out: Path,
    *,
    sha256: str | None = None,
    again: bool = False,
    limits: Limits | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: bool = True,
) -> Fetched:
    """Bring `source` to `out`, whole or not at all; nothing is fetched if `out` holds it already, unless `again`.

    `source` is kaggle:OWNER/NAME[/versions/N], an http(s) address of an archive, a folder or an archive. `sha256` is
    the one that is expected: of the archive, or of the files where there is none (Kaggle, a folder).

    Raises:
        BadSetting: the source or the checksum is misspelt, credentials are missing.
        BadData: not found, refused, damaged, another checksum, or `out` holds something else.
        Unavailable: the network.
    """
    source, wanted = _named(source), _checksum(sha256)
    kept = fetched(out)
    if kept is not None and not again:
        return _still_good(out, kept, source, wanted)
    with whole_folder(out, marker=MARKER) as folder:
        digest = _bring(source, folder, out, wanted, limits or Limits(), timeout_s, progress=progress)
        (folder / MARKER).unlink(missing_ok=True)  # of a folder that was fetched elsewhere and packed
        facts = tree_facts(folder)
        if not facts.files:
            raise BadData(f"{source}: holds no file")
        if digest is None:
            _compare(source, facts.sha256, wanted)
        done = Fetched(
            source=source,
            sha256=digest or facts.sha256,
            sha256_of="files" if digest is None else "archive",
            bytes=facts.bytes,
            files=facts.files,
            fetched_at=datetime.now(UTC),
        )
        (folder / MARKER).write_text(done.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _tell_of_change(out, kept, done)
    return done


def fetched(out: Path) -> Fetched | None:
    """What is kept of a folder that was fetched; None for any other folder.

    Raises:
        BadData: what is kept of it is damaged.
    """
    path = out / MARKER
    if not path.is_file():
        return None
    try:
        return Fetched.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadData(f"{explain(error, str(path))}; remove the folder and fetch it again") from error


def sets_in(folder: Path) -> list[Path]:
    """The folders that `open_set` takes: `folder` itself or, in an archive with folders around them, those below."""
    level = [folder]
    for _ in range(_DEPTH + 1):
        found = [place for place in level if _is_set(place)]
        if found:
            return found
        level = [below for place in level for below in subfolders(place)]
    return []


def advice(folder: Path) -> str:
    """One line on what was fetched: the set to go on with, or what is there instead."""
    found = sets_in(folder)
    if len(found) == 1:
        return f"{found[0]} is an annotated set: go on with `vigie data check {found[0]}`"
    if found:
        return f"holds {len(found)} annotated sets, choose one: {', '.join(map(str, found[:10]))}"
    try:
        open_set(folder)
    except BadData as error:
        return f"no annotated set was found, the files are kept. {error}"
    return f"no annotated set was found, the files are kept: {content_of(folder)}"


def _is_set(folder: Path) -> bool:
    try:
        open_set(folder)
    except VigieError:
        return False
    return True


def _named(source: str) -> str:
    if source.startswith(PREFIX) or "://" in source:
        return source
    return str(Path(source).expanduser().resolve())


def _checksum(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    wanted = sha256.strip().lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(wanted):
        raise BadSetting(f"--sha256: expected 64 hexadecimal digits, found {sha256!r}")
    return wanted


def _compare(source: str, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise BadData(f"{source}: has the SHA-256 {found}, expected {wanted}; nothing of it was kept")


def _still_good(out: Path, kept: Fetched, source: str, wanted: str | None) -> Fetched:
    if kept.source != source:
        raise BadData(f"{out}: holds what was fetched from {kept.source}; choose another folder or pass --again")
    if wanted is not None and kept.sha256 != wanted:
        raise BadData(f"{out}: has the SHA-256 {kept.sha256}, expected {wanted}; pass --again to fetch it again")
    logger.info("already fetched: folder=%s source=%s sha256=%s", out, source, kept.sha256)
    return kept


def _tell_of_change(out: Path, kept: Fetched | None, done: Fetched) -> None:
    if kept is not None and kept.source == done.source and kept.sha256 != done.sha256:
        logger.warning(
            "the source changed since it was fetched last: folder=%s sha256 was=%s is=%s", out, kept.sha256, done.sha256
        )
    logger.info("fetched: folder=%s files=%d bytes=%d sha256=%s", out, done.files, done.bytes, done.sha256)


def _bring(
    source: str, folder: Path, out: Path, wanted: str | None, limits: Limits, timeout_s: float, *, progress: bool
) -> str | None:
    """Fill the folder; returns the SHA-256 of the archive, None where there was none."""
    if source.startswith(PREFIX):
        cached = download_from_kaggle(source.removeprefix(PREFIX))
        copy_tree(cached, folder, without=MARKER, progress=progress)
        return None
    if "://" in source:
        part = out.parent / f".{out.name}.part"
        digest = download(source, part, timeout_s=timeout_s, progress=progress)
        try:
            _compare(source, digest, wanted)
            unpack_archive(part, folder, name=source, limits=limits)
        finally:
            # Whole, so that there is nothing to go on with: a bad archive is not kept to fail again.
            part.unlink()
            part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        return digest
    path = Path(source)
    if path.is_dir():
        if path == out.resolve() or path in out.resolve().parents:
            raise BadData(f"{out}: lies in the folder that is to be copied; choose another place")
        copy_tree(path, folder, without=MARKER, progress=progress)
        return None
    if not path.is_file():
        raise BadData(f"{source}: there is no such folder or file; expected a folder, {EXPECTED}, a URL or {PREFIX}...")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    _compare(source, digest, wanted)
    unpack_archive(path, folder, name=source, limits=limits)
    return digest
