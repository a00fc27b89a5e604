"""Which models a folder holds, and whether their files are whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vigie.bundle import Bundle, numbered, open_bundle, sha256_of
from vigie.detectors import FOREIGN
from vigie.errors import BadBundle
from vigie.zoo.fetching import MARKER, FetchedModel, fetched_model


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in the folder. `version` and the numbers are None of a model of others; `problem` tells what is wrong.

    `path` is what `load_detector` takes; `mAP` is that of the default file on the pictures of its manifest; `bytes` are
    those of all its files.
    """

    name: str
    kind: str
    path: Path
    version: int | None = None
    made_at: datetime | None = None
    classes: int | None = None
    default: str | None = None
    mAP: float | None = None  # noqa: N815 - COCO's name, as in the manifest
    bytes: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """A model whose files were compared with their checksums: `files` of them, `problem` None where all agree."""

    path: Path
    files: int
    problem: str | None = None


def list_models(models: Path) -> Sequence[Listed]:
    """Bundles (all versions), models that were fetched, and single files that a runtime could load; by name.

    Nothing is read but manifests: `verify_models` looks at the files.

    Raises:
        BadBundle: there is no such folder.
    """
    _refuse_absent(models)
    return [*_bundles(models), *_fetched(models), *_single_files(models)]


def verify_models(models: Path, name: str | None = None) -> Sequence[Verified]:
    """Compare every file of bundles and fetched models with its SHA-256; `name` looks at those in its folder alone.

    Raises:
        BadBundle: there is no such folder, or in it nothing with checksums.
    """
    _refuse_absent(models)
    chosen = [folder for folder in _folders(models) if name in (None, folder.name)]
    found = [_verified_bundle(version) for folder in chosen for version in numbered(folder)]
    found += [_verified_fetched(folder) for folder in chosen if (folder / MARKER).is_file()]
    if not found:
        held = ", ".join(folder.name for folder in _folders(models)) or "nothing"
        raise BadBundle(
            f"{models if name is None else models / name}: holds no bundle and no model that was fetched; "
            f"{models} holds {held}"
        )
    return found


def _bundles(models: Path) -> Iterator[Listed]:
    for version in (version for folder in _folders(models) for version in numbered(folder)):
        number = int(version.name)
        try:
            facts = open_bundle(version, verify=False).manifest
        except BadBundle as error:
            yield Listed(version.parent.name, "bundle", version, version=number, problem=str(error))
            continue
        yield Listed(
            name=version.parent.name,
            kind="bundle",
            path=version,
            version=number,
            made_at=facts.made_at,
            classes=len(facts.labels),
            default=facts.default,
            mAP=facts.metrics.get(facts.default, {}).get("mAP"),
            bytes=sum(entry.bytes for entry in facts.files.values()),
        )


def _fetched(models: Path) -> Iterator[Listed]:
    for folder in _folders(models):
        try:
            facts = fetched_model(folder)
        except BadBundle as error:
            yield Listed(folder.name, "fetched", folder, problem=str(error))
            continue
        if facts is not None:
            yield Listed(
                name=folder.name,
                kind="fetched",
                path=folder / facts.run,
                made_at=facts.fetched_at,
                default=facts.run,
                bytes=sum(entry.bytes for entry in facts.files.values()),
            )


def _single_files(models: Path) -> Iterator[Listed]:
    """In the folder and in those below that hold nothing else of ours."""
    strangers = [folder for folder in _folders(models) if not (folder / MARKER).is_file() and not [*numbered(folder)]]
    for path in (path for folder in (models, *strangers) for path in sorted(folder.iterdir())):
        if path.is_file() and path.suffix.lower() in FOREIGN:
            yield Listed(path.stem, "file", path, default=path.name, bytes=path.stat().st_size)


def _verified_bundle(version: Path) -> Verified:
    try:
        bundle: Bundle = open_bundle(version)
    except BadBundle as error:
        return Verified(version, 0, str(error))
    return Verified(version, len(bundle.manifest.files))


def _verified_fetched(folder: Path) -> Verified:
    try:
        facts = fetched_model(folder)
        assert facts is not None  # the caller has seen its marker
        _compare(folder, facts)
    except BadBundle as error:
        return Verified(folder, 0, str(error))
    return Verified(folder, len(facts.files))


def _compare(folder: Path, facts: FetchedModel) -> None:
    for name, entry in facts.files.items():
        path = folder / name
        if not path.is_file():
            raise BadBundle(f"{path}: is missing; fetch the model again: vigie models fetch {facts.name}")
        if (found := sha256_of(path)) != entry.sha256:
            raise BadBundle(
                f"{path}: was changed after it was fetched: it has the sha256 {found[:12]}…, {MARKER} expects "
                f"{entry.sha256[:12]}…; fetch the model again: vigie models fetch {facts.name}"
            )


def _folders(models: Path) -> Sequence[Path]:
    return [child for child in sorted(models.iterdir()) if child.is_dir() and not child.name.startswith(".")]


def _refuse_absent(models: Path) -> None:
    if not models.is_dir():
        raise BadBundle(f"{models}: there is no such folder of models; make a model with `make export`, or fetch one")
