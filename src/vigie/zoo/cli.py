"""`vigie models ...`: what is there, what can be fetched, and whether it is whole."""

# ruff: noqa: PLC0415

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="The models that are here, and those of others that can be fetched.")

Folder = Annotated[Path | None, typer.Option("--models", help="The models' folder; by default that of the settings.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line a model for a machine.")]


@app.command("list")
def list_command(models: Folder = None, as_json: Json = False) -> None:
    """Bundles with their classes, default file and mAP on test, and model files of others.

    Example: `vigie models list`
    """
    from vigie.zoo.catalogue import CATALOGUE
    from vigie.zoo.listing import list_models

    found = list_models(_folder(models))
    if as_json:
        _lines(found)
        return
    _table(
        ["model", "kind", "classes", "default file", "mAP", "MB", "made"],
        [
            [str(one.path), one.kind, *map(_text, (one.classes, one.default, one.mAP)), _megabytes(one.bytes),
             one.problem or (f"{one.made_at:%Y-%m-%d %H:%M}" if one.made_at else "")]
            for one in found
        ],
    )  # fmt: skip
    if not found:
        typer.echo("none yet: make export, or vigie models fetch")
    typer.echo(f"to fetch: {', '.join(CATALOGUE)}")


@app.command("fetch")
def fetch_command(
    name: Annotated[str, typer.Argument(help="yolov4-tiny, efficientdet-lite0 or ssd-mobilenet-v2-fpnlite.")],
    models: Folder = None,
    sha256: Annotated[str | None, typer.Option(help="Refuse a model file of another checksum.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Fetch although it is there, and replace it.")] = False,
) -> None:
    """Bring a detector of others; its checksums are kept beside it in fetched.json.

    Example: `vigie models fetch yolov4-tiny`
    """
    from vigie.zoo.fetching import fetch_model

    folder = _folder(models)
    fetched = fetch_model(name, folder, sha256=sha256, again=again)
    for file, facts in fetched.files.items():
        typer.echo(f"{folder / name / file}: {facts.bytes} bytes, sha256 {facts.sha256}, known by {facts.known_by}")
    typer.echo(f"licence: {fetched.licence}\ntry it: vigie predict {folder / name / fetched.run} PICTURES --out found")


@app.command("verify")
def verify_command(
    name: Annotated[str | None, typer.Argument(help="Of a model; by default all.")] = None,
    models: Folder = None,
    as_json: Json = False,
) -> None:
    """Compare every file of bundles and fetched models with its checksum; exit code 1 where one differs.

    Example: `vigie models verify facemask`
    """
    from vigie.zoo.listing import verify_models

    verified = verify_models(_folder(models), name)
    if as_json:
        _lines(verified)
    else:
        for one in verified:
            typer.echo(f"{one.path}: {one.problem or f'whole, {one.files} files'}")
    if any(one.problem for one in verified):
        raise typer.Exit(1)


def _folder(models: Path | None) -> Path:
    from vigie.settings import load_settings

    return models or load_settings().models


def _lines(rows: Sequence[Any]) -> None:
    for row in rows:
        typer.echo(json.dumps(dataclasses.asdict(row), default=str))


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows) if rows else ():
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.1f}"
