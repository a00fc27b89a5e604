"""The whole live side in one process on a source that ends: what a notebook shows before anything is deployed."""

import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from vigie import adapters
from vigie.arrangement import arranged
from vigie.bundle import Bundle
from vigie.detectors import load_detector
from vigie.domain import Detections
from vigie.errors import BadSetting
from vigie.pictures import Picture
from vigie.ports import Bus, Consumer, FrameSource
from vigie.progress import progress
from vigie.settings import Settings
from vigie.streaming.ingest import ingest
from vigie.streaming.messages import DEATH_REASON, Topics, detections_of
from vigie.streaming.run import model_name
from vigie.streaming.spec import open_source
from vigie.streaming.video import VideoFile
from vigie.streaming.worker import work

_TOPICS = Topics()
_CAMERA = "trial"
_POLL_S = 0.2
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out, in the order of the frames. `pictures` are annotated JPEGs by the frame's id."""

    detections: tuple[Detections, ...]
    pictures: Mapping[str, bytes]
    reasons: tuple[str, ...]

    def picture(self, number: int) -> Picture:
        return Picture.from_bytes(self.pictures[self.detections[number].frame_id])


def run_trial(bundle: Bundle, source: str, *, settings: Settings | None = None, show_progress: bool = True) -> Trial:
    """Send a source through ingest, an embedded bus and a worker, as fast as they can.

    With `settings` the model runs as theirs or a benchmark say, without as it is by itself.

    Raises:
        BadSetting: the source cannot be opened, or has no end.
    """
    opened = open_source(source, {"paced": False})
    if opened.length is None:
        raise BadSetting(f"{source}: a trial needs a source that ends; give a synthetic one frames=N")
    detector = load_detector(bundle.folder) if settings is None else arranged(settings, bundle.folder).detector()
    stop = Event()
    with tempfile.TemporaryDirectory(prefix="vigie-trial-") as folder, ThreadPoolExecutor(2) as threads:
        bus: Bus = adapters.build("bus", "embedded", {"path": Path(folder) / "log.db"})
        results = _results_of(bus)
        stages: list[Future[Any]] = [
            threads.submit(ingest, opened, camera=_CAMERA, bus=bus, topics=_TOPICS, stop=stop),
            threads.submit(work, bus, detector, topics=_TOPICS, model=model_name(bundle), member="trial-1", stop=stop),
        ]
        try:
            return _collected(results, opened.length, stages, show_progress)
        finally:
            stop.set()
            for stage in stages:
                stage.exception()
            results.close()
            bus.close()


def record_video(source: str, out: Path, *, frames: int, fps: float = 10.0) -> Path:
    """The first `frames` captures of a source as a video file, whole or not at all.

    Raises:
        BadSetting: the source cannot be opened.
        Unavailable: the file cannot be written.
    """
    opened: FrameSource = open_source(source, {"paced": False})
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}")
    video = VideoFile(unfinished, fps)
    try:
        for capture in islice(opened.captures(), frames):
            video.write(Picture.from_bytes(capture.encoded).rgb())
    finally:
        opened.close()
        video.close()
    return unfinished.replace(out)


def _results_of(bus: Bus) -> Consumer:
    bus.ensure_topics(_TOPICS.all)
    return bus.consumer([_TOPICS.detections, _TOPICS.annotated, _TOPICS.dead_letters], "trial", member="trial-results")


def _collected(results: Consumer, length: int, stages: list[Future[Any]], show_progress: bool) -> Trial:
    detections: list[Detections] = []
    pictures: dict[str, bytes] = {}
    reasons: list[str] = []
    with progress(total=length, description="streaming", unit="frame", show=show_progress) as bar:
        while len(pictures) + len(reasons) < length or len(detections) < len(pictures):
            for stage in stages:
                if stage.done():
                    stage.result()
            for record in results.poll(_POLL_S, _AT_ONCE):
                message = record.message
                if message.topic == _TOPICS.detections:
                    detections.append(detections_of(message))
                    bar.update()
                elif message.topic == _TOPICS.annotated:
                    pictures[message.headers["ce_id"]] = message.value
                else:
                    reasons.append(message.headers[DEATH_REASON])
                    bar.update()
    return Trial(tuple(sorted(detections, key=lambda found: found.seq)), pictures, tuple(reasons))
