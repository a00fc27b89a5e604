"""`vigie benchmark MODEL`: words in, calls of `vigie.benchmark`."""

# ruff: noqa: PLC0415

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PurposeName(StrEnum):
    THROUGHPUT = "throughput"
    LATENCY = "latency"


class PrecisionName(StrEnum):
    F32 = "f32"
    REDUCED = "reduced"
    INT8 = "int8"


def benchmark_command(
    model: Annotated[
        Path, typer.Argument(help="A bundle: models/NAME, or models/NAME/VERSION; or a single model file.")
    ],
    *,
    seconds: Annotated[float, typer.Option(min=0.05, help="To measure for, for each cell of the tables.")] = 1.5,
    picture: Annotated[
        Path | None,
        typer.Option(exists=True, help="A picture or a folder of them; by default the model's own, or drawn ones."),
    ] = None,
    purpose: Annotated[
        PurposeName, typer.Option("--for", help="The most pictures a second, or each one as soon as can be.")
    ] = PurposeName.THROUGHPUT,
    precision: Annotated[
        PrecisionName | None, typer.Option(help="To choose in; by default that of the bundle's default file.")
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Write what is chosen beside the settings; all stages use it then.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="Another settings file than config/vigie.yaml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result for a machine.")] = False,
) -> None:
    """Measure each file of a model with each runtime that is installed, and choose runtime, processes and threads.

    Of those in the precision of the bundle's default file the fastest is chosen. Nothing else should run meanwhile.

    Example: `vigie benchmark models/demo --save`
    """
    from vigie.arrangement import save as save_entry
    from vigie.benchmark.measuring import benchmark
    from vigie.benchmark.table import as_json as json_of
    from vigie.benchmark.table import as_text, entry_of
    from vigie.settings import load_settings

    settings = load_settings(None if config is None else config.resolve())
    found = benchmark(
        model,
        seconds=seconds,
        picture=picture,
        purpose=purpose.value,
        precision=None if precision is None else precision.value,
    )
    typer.echo(json.dumps(json_of(found)) if as_json else as_text(found))
    if save and settings.benchmark_file is not None:
        save_entry(settings.benchmark_file, found.name, entry_of(found, datetime.now(UTC)))
        typer.echo(f"saved: {settings.benchmark_file}", err=as_json)
