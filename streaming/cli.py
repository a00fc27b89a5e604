"""`vigie stream ...` and `vigie predict`: words in, calls of `vigie.streaming.run`.

What a command needs is imported inside it, so that `vigie --help` is quick.
"""

# ruff: noqa: PLC0415

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigie.errors import BadSetting

if TYPE_CHECKING:
    from vigie.settings import Settings
    from vigie.streaming.predict import Predicted

app = typer.Typer(no_args_is_help=True, help="Cameras to the bus, to detections, to the live page.")

Source = Annotated[
    str,
    typer.Option(
        help="synthetic, synthetic:seed=7,fps=5, a picture, a folder, a video, a camera's number or rtsp://..."
    ),
]
Camera = Annotated[str, typer.Option(help="The id that its frames carry.")]
Model = Annotated[Path | None, typer.Option(help="A bundle's folder; by default the newest bundle of all.")]
Name = Annotated[str, typer.Option(help="The newest bundle of this name.")]
BusName = Annotated[str | None, typer.Option("--bus", help="kafka or embedded; by default that of the settings.")]
Loop = Annotated[bool, typer.Option("--loop", help="Begin again at the end.")]
Watch = Annotated[bool, typer.Option("--watch", help="Go on with the pictures that are added to the folder.")]
Fps = Annotated[float | None, typer.Option(help="Frames a second; a video has its own, pictures come at full speed.")]
Option = Annotated[list[str] | None, typer.Option(help="NAME=VALUE, any option of the source; may be repeated.")]
Config = Annotated[Path | None, typer.Option(help="Another settings file than config/vigie.yaml.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")]
Marker = Annotated[Path | None, typer.Option(hidden=True)]
Runtime = Annotated[
    str | None, typer.Option(help="Such as tflite; by default that of the settings, or what `vigie benchmark` chose.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result for a machine.")]


@app.command("ingest")
def ingest_command(
    *,
    source: Source = "",
    camera: Camera = "camera",
    loop: Loop = False,
    watch: Watch = False,
    fps: Fps = None,
    option: Option = None,
    bus: BusName = None,
    config: Config = None,
    marker: Marker = None,
) -> None:
    """Send a source to the topic of frames, until it ends or Ctrl-C. Without --source: the settings' camera of that id.

    Example: `vigie stream ingest --source door.mp4 --loop --camera door --bus embedded`
    """
    from vigie.streaming.run import run_ingest

    options = _options(option, loop=loop, watch=watch, fps=fps)
    done = run_ingest(_settings(config), camera=camera, source=source, options=options, bus=bus, marker=marker)
    typer.echo(f"frames: {done.frames}")


@app.command("worker")
def worker_command(
    *,
    model: Model = None,
    name: Name = "",
    bus: BusName = None,
    member: Annotated[str, typer.Option(help="Its stable name in the group; two workers need two.")] = "worker-1",
    runtime: Runtime = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the runtime, instead of those of the settings.")
    ] = None,
    config: Config = None,
    marker: Marker = None,
) -> None:
    """Detect what is on the frames until Ctrl-C, and send detections and drawn pictures.

    Example: `vigie stream worker --model models/demo --bus embedded`
    """
    from vigie.streaming.run import run_worker

    done = run_worker(
        _settings(config), model=model, name=name, bus=bus, member=member, runtime=runtime, threads=threads,
        marker=marker,
    )  # fmt: skip
    typer.echo(f"frames: {done.frames}\ndead letters: {done.dead_letters}")


@app.command("web")
def web_command(
    *,
    bus: BusName = None,
    host: Annotated[str | None, typer.Option(help="0.0.0.0 shows the page to the whole network.")] = None,
    port: Port = None,
    config: Config = None,
    marker: Marker = None,
) -> None:
    """Serve the live page until Ctrl-C.

    Example: `vigie stream web --port 8001 --bus embedded`
    """
    from vigie.streaming.run import run_web

    run_web(_settings(config), bus=bus, host=host, port=port, marker=marker)


@app.command("up")
def up_command(
    *,
    source: Source = "",
    camera: Camera = "camera",
    loop: Loop = False,
    watch: Watch = False,
    fps: Fps = None,
    option: Option = None,
    model: Model = None,
    name: Name = "",
    bus: BusName = None,
    port: Port = None,
    start_kafka: Annotated[
        bool, typer.Option("--start-kafka", help="Start a broker on this machine, unless another bus or broker is set.")
    ] = False,
    config: Config = None,
) -> None:
    """Start camera, worker and page in the background. Without --source: the settings' cameras, or the model's trial.

    Example: `vigie stream up --source door.mp4 --loop --bus embedded`
    """
    from vigie.project import project_root
    from vigie.streaming.broker import needs_local_kafka, start_local
    from vigie.streaming.deploy import run_up

    settings = _settings(config)
    if start_kafka and needs_local_kafka(settings.bus, bus):
        typer.echo(start_local())
    page = run_up(
        settings,
        root=project_root(),
        source=source,
        options=_options(option, loop=loop, watch=watch, fps=fps),
        camera=camera,
        model=model,
        name=name,
        bus=bus,
        port=port,
        config=config,
    )
    typer.echo(f"the page: {page}\nwhat runs: make stream-status\nend it: make stop-stream")


@app.command("status")
def status_command(bus: BusName = None, config: Config = None, as_json: Json = False) -> None:
    """Tell what runs, what each topic got, and how far behind the workers are.

    Example: `vigie stream status --json`
    """
    from vigie.streaming.deploy import run_status

    found = run_status(_settings(config), bus=bus)
    typer.echo(json.dumps(found.to_json()) if as_json else found.table())


@app.command("stop")
def stop_command(config: Config = None) -> None:
    """End everything that `vigie stream up` started.

    Example: `vigie stream stop`
    """
    from vigie.streaming.deploy import run_stop

    typer.echo("the stream is stopped" if run_stop(_settings(config)) else "nothing ran")


def predict_command(
    model: Annotated[Path, typer.Argument(help="A bundle, models/NAME or models/NAME/VERSION, or a model file.")],
    source: Annotated[
        str,
        typer.Argument(help="A picture, a folder, a video, a camera's number, rtsp://..., or synthetic:frames=50."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The folder to make: pictures or a video with boxes, detections.json.")],
    voc: Annotated[
        bool, typer.Option("--voc", help="Also write what was found as Pascal VOC, to be corrected in LabelImg.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="End after so long; a camera has no other end.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many frames.")] = None,
    runtime: Runtime = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what a model sees on pictures, a video or a camera.

    A camera goes on until --seconds or --frames are over or Ctrl-C, which keeps what was seen.

    Example: `vigie predict models/demo door.mp4 --out /tmp/seen`
    """
    from vigie.streaming.run import run_predict

    done = run_predict(_settings(config), model, source, out, runtime=runtime, seconds=seconds, frames=frames, voc=voc)
    typer.echo(json.dumps(_as_json(done)) if as_json else _as_text(done, voc=voc))


def _as_json(done: "Predicted") -> dict[str, object]:
    gaps = [
        {"since": gap.since.isoformat(), "until": None if gap.until is None else gap.until.isoformat()}
        for gap in done.gaps
    ]
    return {
        "out": str(done.out), "frames": done.frames, "objects": done.objects, "bad": done.bad, "gaps": gaps,
        "missed": done.missed,
    }  # fmt: skip


def _as_text(done: "Predicted", *, voc: bool) -> str:
    found = ", ".join(f"{count} {label}" for label, count in done.objects.most_common()) or "nothing"
    lines = [f"frames: {done.frames}", f"found: {found}", f"result: {done.out}"]
    if voc:
        places = [str(done.out / name) for name in ("images", "predefined_classes.txt", "Annotations")]
        lines.append(f"correct it: {shlex.join(['labelImg', *places])}")
    if done.missed:
        lines.append(f"missed: {done.missed} frames came while the model was busy")
    now = datetime.now(UTC)
    lines += [f"gap: nothing came for {gap.seconds(now):.1f} s from {gap.since:%H:%M:%S} UTC" for gap in done.gaps]
    if done.bad:
        lines.append(f"not readable: {len(done.bad)}: {', '.join(done.bad)}")
        lines += [f"  left out: {reason}" for reason in done.bad.values()]
    return "\n".join(lines)


def _settings(config: Path | None) -> "Settings":
    from vigie.settings import load_settings

    return load_settings(None if config is None else config.resolve())


def _options(pairs: list[str] | None, *, loop: bool, watch: bool, fps: float | None) -> dict[str, object]:
    options: dict[str, object] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            from vigie.streaming.spec import without_secret

            raise BadSetting(f"--option {without_secret(pair)!r}: write --option NAME=VALUE")
        options[key] = value
    given = {"loop": loop or None, "watch": watch or None, "fps": fps}
    return options | {key: value for key, value in given.items() if value is not None}
