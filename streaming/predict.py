"""What a model sees on pictures, a video or a camera: the same way as on the live side, onto the disk."""

import logging
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Protocol, TextIO

from vigie.domain import Detections, Frame
from vigie.errors import BadData, BadSetting
from vigie.pictures import Pixels, encode_jpeg
from vigie.ports import Capture, Detector, FrameSource
from vigie.progress import progress
from vigie.streaming.detection import Seen, Unseen, detect_frames, drawn, frame_of_capture
from vigie.streaming.live import Gap, LiveSource
from vigie.streaming.messages import detections_json
from vigie.streaming.sources.files import USUAL_FPS, PictureFiles
from vigie.streaming.video import VideoFile
from vigie.streaming.voc_labels import VocLabels

logger = logging.getLogger(__name__)

DETECTIONS_FILE = "detections.json"
BATCH = 8


@dataclass(slots=True)
class Predicted:
    """`bad` maps what could not be read to the reason; `objects` counts what was found by label.

    Of a camera: `gaps` are the times when it gave nothing, `missed` counts what came while the model was busy.
    """

    out: Path
    frames: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    objects: Counter[str] = field(default_factory=Counter)
    gaps: list[Gap] = field(default_factory=list)
    missed: int = 0


def predict(
    detector: Detector,
    source: FrameSource,
    out: Path,
    *,
    model: str,
    camera: str = "predict",
    video_name: str = "video",
    seconds: float | None = None,
    frames: int | None = None,
    until_closed: bool = False,
    voc: bool = False,
    show_progress: bool = True,
) -> Predicted:
    """Fill the folder `out`: the pictures with boxes, or one video of them, and `detections.json`, a list with
    a frame a line as `schemas/detections.v1.json` describes it. With `voc` also what `voc_labels` describes.

    It ends with the source, after `seconds` or after `frames`; with `until_closed` also where neither is given and the
    source has no end: then somebody else closes it. The folder appears whole, when all is done; an earlier result of
    this function in its place is replaced.

    Raises:
        BadSetting: there is no end, or `out` holds something else.
        BadData: nothing of the source could be read.
    """
    if source.length is None and seconds is None and frames is None and not until_closed:
        raise BadSetting("the source has no end: say when to stop, after so many seconds or frames")
    result = Predicted(out)
    with _staged(out) as staging, (staging / DETECTIONS_FILE).open("w", encoding="utf-8") as lines:
        writer = _writer(source, staging, video_name)
        look = _Look(detector, writer, lines, result, model, camera, source.epoch)
        if voc:
            look.labels = VocLabels(staging, detector.labels)
        lengths = [length for length in (source.length, frames) if length is not None]
        captures = progress(
            islice(source.captures(), frames), total=min(lengths, default=None), description="predict",
            unit="frame", show=show_progress,
        )  # fmt: skip
        try:
            with _ended_after(seconds, source):
                # A camera goes on while a batch waits to be full.
                for batch in _batches(captures, 1 if isinstance(source, LiveSource) else BATCH):
                    look.at(batch)
        finally:
            source.close()
            writer.close()
        lines.write("\n]\n")
        if isinstance(source, LiveSource):
            result.gaps, result.missed = list(source.gaps), source.missed
        if not result.frames:
            raise BadData(_nothing(result))
    return result


def _nothing(result: Predicted) -> str:
    if not result.bad:
        return "not a single picture came before the end"
    return f"none of {len(result.bad)} pictures could be read: {'; '.join(list(result.bad.values())[:3])}"


@contextmanager
def _ended_after(seconds: float | None, source: FrameSource) -> Iterator[None]:
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, source.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@dataclass(slots=True)
class _Look:
    """Frames through the model, and what it found to where it belongs."""

    detector: Detector
    writer: "_Writer"
    lines: TextIO
    result: Predicted
    model: str
    camera: str
    epoch: str
    labels: VocLabels | None = None

    def at(self, batch: list[Capture]) -> None:
        frames = [frame_of_capture(capture, self.camera, self.epoch) for capture in batch]
        for frame, outcome in zip(frames, detect_frames(self.detector, frames, model=self.model), strict=True):
            if isinstance(outcome, Unseen):
                named = self.writer.name_of(frame.seq) or f"frame {frame.seq}"
                self.result.bad[named] = f"{named}: {outcome.reason}"
                logger.warning("left out: %s", self.result.bad[named])
            else:
                self._keep(frame, outcome)

    def _keep(self, frame: Frame, seen: Seen) -> None:
        if self.labels is not None:
            self.labels.write(seen.found, *self.writer.copy_of(frame))
        found, rgb = drawn(seen, self.detector.labels)
        self.writer.write(found, rgb)
        name = self.writer.name_of(frame.seq)
        self.lines.write((",\n" if self.result.frames else "[\n") + detections_json(found, file=name))
        self.result.frames += 1
        self.result.objects.update(one.label for one in found.detections)


class _Writer(Protocol):
    def name_of(self, seq: int) -> str | None:
        """The file that a frame came from, where it was one."""

    def copy_of(self, frame: Frame) -> tuple[str, bytes]:
        """A name for the frame's picture without boxes, and its bytes."""

    def write(self, found: Detections, rgb: Pixels, /) -> None: ...

    def close(self) -> None: ...


def _writer(source: FrameSource, folder: Path, video_name: str) -> _Writer:
    if isinstance(source, PictureFiles):
        return _PictureWriter(source, folder)
    fps = float(getattr(source, "fps", USUAL_FPS))
    return _VideoWriter(folder / f"{video_name}.mp4", fps, by_the_clock=isinstance(source, LiveSource))


class _PictureWriter:
    def __init__(self, source: PictureFiles, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def name_of(self, seq: int) -> str:
        return self._source.path_of(seq).name

    def copy_of(self, frame: Frame) -> tuple[str, bytes]:
        path = self._source.path_of(frame.seq)
        return path.name, path.read_bytes()  # as it is, where the frame may have been made a JPEG

    def write(self, found: Detections, rgb: Pixels) -> None:
        name = self.name_of(found.seq)
        # a.png and a.jpg may lie side by side.
        target = name if name.lower().endswith((".jpg", ".jpeg")) else f"{name}.jpg"
        (self._folder / target).write_bytes(encode_jpeg(rgb))

    def close(self) -> None: ...


class _VideoWriter:
    """`by_the_clock` repeats a frame until the next one was taken: a camera's pictures come as the model has time."""

    def __init__(self, path: Path, fps: float, *, by_the_clock: bool) -> None:
        self._video = VideoFile(path, fps)
        self._stem = path.stem
        self._fps = fps
        self._by_the_clock = by_the_clock
        self._begun: datetime | None = None
        self._last: Pixels | None = None
        self._written = 0

    def name_of(self, seq: int) -> None: ...  # a frame of a video has none

    def copy_of(self, frame: Frame) -> tuple[str, bytes]:
        return f"{self._stem}_{frame.seq:06}.jpg", frame.jpeg

    def write(self, found: Detections, rgb: Pixels) -> None:
        if self._by_the_clock:
            self._begun = self._begun or found.captured_at
            due = round((found.captured_at - self._begun).total_seconds() * self._fps)
            while self._last is not None and self._written < due:
                self._add(self._last)
            self._last = rgb
        self._add(rgb)

    def _add(self, rgb: Pixels) -> None:
        self._video.write(rgb)
        self._written += 1

    def close(self) -> None:
        self._video.close()


def _batches(captures: Iterable[Capture], most: int) -> Iterator[list[Capture]]:
    rest = iter(captures)
    while batch := list(islice(rest, most)):
        yield batch


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place if the block succeeds, and is gone if not."""
    if out.exists() and not (out.is_dir() and ((out / DETECTIONS_FILE).is_file() or not any(out.iterdir()))):
        raise BadSetting(f"{out}: exists and is no earlier result of predict; name another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise BadSetting(f"{out}: cannot be made: {error.strerror}; name another folder") from error
    try:
        staging = room / "new"
        staging.mkdir()
        yield staging
        if out.exists():
            out.rename(room / "old")
        staging.rename(out)
    finally:
        shutil.rmtree(room, ignore_errors=True)
