"""The stages put together from settings: what the commands and the notebooks call."""

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import cv2

from vigie import adapters
from vigie.arrangement import Arranged, arranged
from vigie.bundle import Bundle, newest_bundle, open_bundle
from vigie.errors import BadSetting, BusUnavailable
from vigie.ports import Bus, Detector, FrameSource
from vigie.settings import BusSettings, Settings
from vigie.streaming.child import stopped_by_signals, supervised
from vigie.streaming.ingest import Ingested, ingest
from vigie.streaming.messages import Topics
from vigie.streaming.predict import Predicted, predict
from vigie.streaming.spec import open_source, source_name
from vigie.streaming.worker import Worked, work

logger = logging.getLogger(__name__)

CAMERA = "camera"
MEMBER = "worker-1"
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")

SourceOptions = Mapping[str, object]
NO_OPTIONS: SourceOptions = {}


def open_bus(settings: BusSettings, adapter: str | None = None) -> Bus:
    """
    Raises:
        BadSetting: there is no such bus.
        BusUnavailable: it does not answer.
    """
    name = adapter or settings.adapter
    bus: Bus = adapters.build("bus", name, settings.options(name))
    return bus


def topics_of(settings: BusSettings) -> Topics:
    return Topics(settings.topic_prefix)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model to run: a bundle's folder, or a file of somebody else, with the name that results carry."""

    path: Path
    name: str
    bundle: Bundle | None = None


def chosen_model(models: Path, *, model: Path | None = None, name: str = "") -> Chosen:
    """The file, or the bundle in the folder, `model`; else the newest version of models/`name`, else the newest of all.

    Raises:
        BadBundle: there is none.
    """
    if model is not None and model.is_file():
        return Chosen(model, model.name)
    if model is not None:
        return _chosen(open_bundle(model))
    return _chosen(open_bundle(models / name) if name else newest_bundle(models))


def _chosen(bundle: Bundle) -> Chosen:
    return Chosen(bundle.folder, model_name(bundle), bundle)


def camera_source(
    settings: Settings, camera: str, *, source: str = "", options: SourceOptions = NO_OPTIONS
) -> FrameSource:
    """The source that is named, else that of this camera in the settings.

    Raises:
        BadSetting: neither; or the source cannot be opened.
    """
    if source:
        return open_source(source, options)
    for known in settings.cameras:
        if known.id == camera:
            return open_source(known.source, {**known.options, **options})
    raise BadSetting(f"camera {camera!r} stands under `cameras` in no settings; add it, or name a source with --source")


def run_ingest(
    settings: Settings,
    *,
    camera: str = CAMERA,
    source: str = "",
    options: SourceOptions = NO_OPTIONS,
    bus: str | None = None,
    marker: Path | None = None,
) -> Ingested:
    """Send a source until it ends or a signal comes."""
    stop = Event()
    with supervised(marker) as ready:
        opened = camera_source(settings, camera, source=source, options=options)
        target = open_bus(settings.bus, bus)

        def end() -> None:
            stop.set()
            opened.close()

        with stopped_by_signals(end), closing_bus(target):
            return ingest(
                opened,
                camera=camera,
                bus=target,
                topics=topics_of(settings.bus),
                stop=stop,
                max_lag=settings.ingest.max_lag,
                ready=ready,
            )


def run_worker(
    settings: Settings,
    *,
    model: Path | None = None,
    name: str = "",
    bus: str | None = None,
    member: str = MEMBER,
    runtime: str | None = None,
    threads: int | None = None,
    marker: Path | None = None,
) -> Worked:
    """Look at frames until a signal comes. `runtime` and `threads` stand above the settings."""
    stop = Event()
    with supervised(marker) as ready, stopped_by_signals(stop.set):
        chosen = chosen_model(settings.models, model=model, name=name)
        knobs = settings.worker
        detector = _detector(arranged(settings, chosen.path, runtime=runtime, threads=threads))
        target = open_bus(settings.bus, bus)
        with closing_bus(target):
            return work(
                target,
                detector,
                topics=topics_of(settings.bus),
                model=chosen.name,
                member=member,
                stop=stop,
                batch=knobs.batch,
                poll_timeout_s=knobs.poll_timeout_s,
                ready=ready,
            )


def run_web(
    settings: Settings,
    *,
    bus: str | None = None,
    host: str | None = None,
    port: int | None = None,
    marker: Path | None = None,
) -> None:
    """Serve the page until a signal comes."""
    # No other stage needs a web server.
    from vigie.streaming.web.app import PageOptions  # noqa: PLC0415
    from vigie.streaming.web.server import serve  # noqa: PLC0415

    web = settings.web
    with supervised(marker) as ready:
        target = open_bus(settings.bus, bus)
        with closing_bus(target):
            serve(
                target,
                topics_of(settings.bus),
                host=web.host if host is None else host,
                port=web.port if port is None else port,
                options=PageOptions(web.viewers_limit, web.ack_timeout_s, web.allowed_hosts),
                ready=ready,
            )


def run_predict(
    settings: Settings,
    model: Path,
    source: str,
    out: Path,
    *,
    options: SourceOptions = NO_OPTIONS,
    camera: str = CAMERA,
    runtime: str | None = None,
    seconds: float | None = None,
    frames: int | None = None,
    voc: bool = False,
    show_progress: bool = True,
) -> Predicted:
    """What the model sees on a source, as fast as it can; frames get the ids that `run_ingest` gives them.

    A source without an end goes on until `seconds` or `frames` are over or a signal comes; what was seen is kept.
    """
    chosen = chosen_model(settings.models, model=model)
    detector = _detector(arranged(settings, chosen.path, runtime=runtime))
    # Not before the model is there: a camera does not wait.
    opened = open_source(source, {**options, "paced": False})
    try:
        endless = opened.length is None and threading.current_thread() is threading.main_thread()
        with stopped_by_signals(opened.close) if endless else nullcontext():
            return predict(
                detector,
                opened,
                out,
                model=chosen.name,
                camera=camera,
                video_name=source_name(source),
                seconds=seconds,
                frames=frames,
                until_closed=endless,
                voc=voc,
                show_progress=show_progress,
            )
    finally:
        opened.close()


def _detector(how: Arranged) -> Detector:
    # OpenCV would take all cores for itself in each of several workers.
    cv2.setNumThreads(how.threads)
    return how.detector()


def model_name(bundle: Bundle) -> str:
    """As results name it."""
    return f"{bundle.manifest.name}/{bundle.manifest.version}"


@contextmanager
def closing_bus(bus: Bus) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            bus.close()
        except BusUnavailable as error:
            logger.warning("the bus was away at the end: %s", error)
