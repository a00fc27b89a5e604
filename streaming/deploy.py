"""The whole live side in the background, put together from settings: up, stop, status."""

import logging
import sys
from pathlib import Path

from vigie.arrangement import arranged
from vigie.errors import BadSetting
from vigie.ports import Bus
from vigie.settings import AUTO, CameraSettings, Settings
from vigie.streaming import supervise
from vigie.streaming.run import (
    CAMERA,
    NO_OPTIONS,
    NOT_IN_NAMES,
    Chosen,
    SourceOptions,
    chosen_model,
    closing_bus,
    open_bus,
    topics_of,
)
from vigie.streaming.spec import open_source, source_spec
from vigie.streaming.status import StreamStatus, status

logger = logging.getLogger(__name__)

FILES = "files"
# The few pictures of a bundle, one after the other for as long as somebody looks.
TRIAL_PICTURES: SourceOptions = {"loop": True, "fps": 1.0}
COMMAND = (sys.executable, "-m", "vigie", "stream")


def run_up(
    settings: Settings,
    *,
    root: Path,
    source: str = "",
    options: SourceOptions = NO_OPTIONS,
    camera: str = CAMERA,
    model: Path | None = None,
    name: str = "",
    bus: str | None = None,
    port: int | None = None,
    config: Path | None = None,
) -> str:
    """Start the whole live side in the background, and return the page's address when all of it is at work.

    Without `source`: the cameras of the settings, and where there are none, what the bundle says to try it on.

    Raises:
        VigieError: a model, a source or the bus is not there, before anything was started; or a process does not start.
    """
    chosen = chosen_model(settings.models, model=model, name=name)
    adapter = bus or settings.bus.adapter
    cameras = _cameras(settings, source, camera, options, chosen)
    for one in cameras:
        open_source(one.source, one.options).close()
    target = open_bus(settings.bus, adapter)
    topics = topics_of(settings.bus)
    with closing_bus(target):
        target.ensure_topics(topics.all)
        partitions = len(target.end_offsets(topics.frames))
    folder = stream_folder(settings)
    common = ("--bus", adapter, *(("--config", str(config.resolve())) if config else ()))
    web_options = () if port is None else ("--port", str(port))
    workers = worker_programs(settings, chosen, cameras=len(cameras), partitions=partitions)
    services = {
        **{key: (*COMMAND, "worker", "--model", str(chosen.path), *words, *common) for key, words in workers.items()},
        supervise.WEB: (*COMMAND, "web", *web_options, *common),
    }
    sources = {_program_name(one.id, len(cameras)): _ingest_command(one, common) for one in cameras}
    plan = supervise.Plan(
        root=root,
        services={key: (*words, "--marker", _marker(folder, key)) for key, words in services.items()},
        cameras={key: (*words, "--marker", _marker(folder, key)) for key, words in sources.items()},
        facts={
            "bus": adapter,
            "model": chosen.name,
            "cameras": ", ".join(f"{one.id} ({_shown(one)})" for one in cameras),
        },
    )
    return supervise.up(plan, folder)


def run_stop(settings: Settings) -> bool:
    """End everything that `run_up` started; False where nothing ran."""
    return supervise.down(stream_folder(settings))


def run_status(settings: Settings, *, bus: str | None = None) -> StreamStatus:
    def opened(used: str | None) -> Bus:
        return open_bus(settings.bus, bus or used)

    return status(stream_folder(settings), topics_of(settings.bus), opened)


def stream_folder(settings: Settings) -> Path:
    return settings.runs / "stream"


def worker_programs(settings: Settings, model: Chosen, *, cameras: int, partitions: int) -> dict[str, tuple[str, ...]]:
    """Program -> the options of each worker: as many as the settings say, else as were measured to be the fastest.

    The frames of a camera keep their order in one partition, which one worker reads: more than there are of either
    would stand by.
    """
    how = arranged(settings, model.path)
    asked = settings.worker.processes
    most = min(cameras, partitions)
    processes, threads = how.workers(most) if asked == AUTO else (asked, how.threads_of(asked))
    if processes > most:
        logger.warning(
            "%d workers: those over %d stand by: there are %d cameras and the topic of frames has %d partitions",
            processes, most, cameras, partitions,
        )  # fmt: skip
    if processes == 1:
        return {supervise.WORKER: ("--threads", str(threads))}
    members = [f"{supervise.WORKER}-{number}" for number in range(1, processes + 1)]
    return {member: ("--member", member, "--threads", str(threads)) for member in members}


def _cameras(
    settings: Settings, source: str, camera: str, options: SourceOptions, model: Chosen
) -> list[CameraSettings]:
    """What to start, each with the adapter's name as its source and all options, paths made absolute."""
    if source:
        chosen = [CameraSettings(id=camera, source=source, options=dict(options))]
    elif settings.cameras:
        chosen = list(settings.cameras)
    elif model.bundle is None:
        raise BadSetting(f"{model.path} says nothing to try it on; name a source with --source")
    else:
        trial = model.bundle.trial_source()
        shown = TRIAL_PICTURES if source_spec(trial)[0] == FILES else NO_OPTIONS
        chosen = [CameraSettings(id=camera, source=trial, options={**shown, **options})]
    programs = [_program_name(one.id, len(chosen)) for one in chosen]
    if len(set(programs)) != len(programs):
        raise BadSetting(f"cameras: the ids {[one.id for one in chosen]} are too much alike; use letters and digits")
    return [_resolved(one) for one in chosen]


def _resolved(camera: CameraSettings) -> CameraSettings:
    name, options = source_spec(camera.source)
    options = {**options, **camera.options}
    if "path" in options:
        options["path"] = str(Path(str(options["path"])).resolve())
    return CameraSettings(id=camera.id, source=name, options=options)


def _program_name(camera: str, cameras: int) -> str:
    return "ingest" if cameras == 1 else f"ingest-{NOT_IN_NAMES.sub('-', camera)}"


def _ingest_command(camera: CameraSettings, common: tuple[str, ...]) -> tuple[str, ...]:
    options = [word for key, value in camera.options.items() for word in ("--option", f"{key}={value}")]
    return (*COMMAND, "ingest", "--camera", camera.id, "--source", camera.source, *options, *common)


def _shown(camera: CameraSettings) -> str:
    return str(camera.options.get("path", camera.source))


def _marker(folder: Path, program: str) -> str:
    return str(supervise.marker_of(folder, program))
