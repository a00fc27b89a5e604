"""Bring a model of others: each file whole, and the one that was meant, or none.

Beside the files lies `fetched.json`, which tells where they came from and pins their checksums: it is written last, so
that a model without it is not whole.
"""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from vigie.adapters import explain
from vigie.bundle import sha256_of
from vigie.download import TIMEOUT_S, download
from vigie.errors import BadBundle, BadData, BadSetting
from vigie.foreign.sidecar import sidecar_path
from vigie.whole import write_whole
from vigie.zoo.catalogue import CATALOGUE, Offer, Part

logger = logging.getLogger(__name__)
MARKER = "fetched.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")

KnownBy = Literal["catalogue", "hand", "first use"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FetchedFile(_Section):
    url: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=_SHA256.pattern)
    known_by: KnownBy = Field(description="what told which checksum it must have; first use: nothing did")


class FetchedModel(_Section):
    """`fetched.json`."""

    format: Literal[1] = 1
    name: str
    licence: str
    page: str
    run: str = Field(description="the file that detectors are given")
    fetched_at: AwareDatetime
    files: dict[str, FetchedFile]


def fetch_model(
    name: str,
    models: Path,
    *,
    sha256: str | None = None,
    again: bool = False,
    timeout_s: float = TIMEOUT_S,
    progress: bool = True,
    offers: Mapping[str, Offer] = CATALOGUE,
) -> FetchedModel:
    """Bring the model of that name to `models`/`name`. Files that are there and right are not fetched, unless `again`.

    What each file must be is told by `sha256` (of the model's main file), by the catalogue, or by what was fetched
    before, in this order; where nothing tells it, what comes is trusted and pinned in `fetched.json`, with a warning.
    A file that is refused replaces none.

    Raises:
        BadSetting: no such model, or no checksum.
        BadData: a server says no, or sends something else than it should.
        Unavailable: the network; the same command goes on where it stood.
    """
    offer = offers.get(name)
    if offer is None:
        raise BadSetting(f"there is no model {name!r} to fetch; there are: {', '.join(sorted(offers))}")
    by_hand = _checksum(sha256)
    folder = models / name
    before = fetched_model(folder)
    files = {
        part.name: _bring(
            part,
            folder,
            _expected(part, by_hand if part is offer.main else None, before),
            again=again,
            timeout_s=timeout_s,
            progress=progress,
        )
        for part in offer.parts
    }
    _write_sidecar(offer, folder)
    if before is not None and before.files == files and not again:
        return before
    done = FetchedModel(
        name=name, licence=offer.licence, page=offer.page, run=offer.run, fetched_at=datetime.now(UTC), files=files
    )
    write_whole(folder / MARKER, done.model_dump_json(indent=1) + "\n")
    return done


def _write_sidecar(offer: Offer, folder: Path) -> None:
    """One that is there is a person's, who may know better."""
    path = sidecar_path(folder / offer.run)
    if offer.sidecar and not path.exists():
        write_whole(path, offer.sidecar)


def fetched_model(folder: Path) -> FetchedModel | None:
    """What is kept of a model that was fetched; None of any other folder.

    Raises:
        BadBundle: what is kept of it is damaged.
    """
    path = folder / MARKER
    if not path.is_file():
        return None
    try:
        return FetchedModel.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadBundle(f"{explain(error, str(path))}; remove the folder and fetch the model again") from error


def _expected(part: Part, by_hand: str | None, before: FetchedModel | None) -> tuple[str | None, KnownBy]:
    if by_hand is not None:
        return by_hand, "hand"
    if part.sha256 is not None:
        return part.sha256, "catalogue"
    pinned = before.files.get(part.name) if before else None
    return (pinned.sha256, pinned.known_by) if pinned else (None, "first use")


def _bring(
    part: Part,
    folder: Path,
    expected: tuple[str | None, KnownBy],
    *,
    again: bool,
    timeout_s: float,
    progress: bool,
) -> FetchedFile:
    path, (wanted, known_by) = folder / part.name, expected
    if not again and wanted is not None and path.is_file() and sha256_of(path) == wanted:
        logger.info("already there: file=%s sha256=%s", path, wanted)
        return _facts(part, path, wanted, known_by)
    unfinished = path.with_name(f".{path.name}.part")
    found = download(part.url, unfinished, most_bytes=part.most_bytes, timeout_s=timeout_s, progress=progress)
    unfinished.with_name(f"{unfinished.name}.json").unlink(missing_ok=True)
    if wanted is not None and found != wanted:
        unfinished.unlink()
        raise BadData(
            f"{part.url}: has the SHA-256 {found}, expected {wanted} ({_TOLD_BY[known_by]}); nothing of it was kept"
        )
    unfinished.replace(path)
    if wanted is None:
        logger.warning(
            "nobody published a checksum of this file, so it is trusted and pinned: file=%s sha256=%s", path, found
        )
    else:
        logger.info("fetched: file=%s sha256=%s known_by=%s", path, found, known_by)
    return _facts(part, path, found, known_by)


_TOLD_BY: Mapping[KnownBy, str] = {
    "catalogue": "published for this model; if it changed for good, give the new one with --sha256",
    "hand": "given by hand",
    "first use": "of the file that was fetched first; if it changed for good, give the new one with --sha256",
}


def _facts(part: Part, path: Path, sha256: str, known_by: KnownBy) -> FetchedFile:
    return FetchedFile(url=part.url, bytes=path.stat().st_size, sha256=sha256, known_by=known_by)


def _checksum(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    wanted = sha256.strip().lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(wanted):
        raise BadSetting(f"--sha256: expected 64 hexadecimal digits, found {sha256!r}")
    return wanted
