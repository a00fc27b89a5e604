"""What a model sees on pictures or a video: the same way as on the live side, onto the disk."""

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol, TextIO

from vigie.domain import Detections
from vigie.errors import BadData, BadSetting
from vigie.pictures import Pixels, encode_jpeg
from vigie.ports import Capture, Detector, FrameSource
from vigie.progress import progress
from vigie.streaming.detection import Unseen, detect_frames, drawn, frame_of_capture
from vigie.streaming.messages import detections_json
from vigie.streaming.sources.files import USUAL_FPS, PictureFiles
from vigie.streaming.video import VideoFile

logger = logging.getLogger(__name__)

DETECTIONS_FILE = "detections.json"
BATCH = 8


@dataclass(slots=True)
class Predicted:
    """`bad` maps what could not be read to the reason; `objects` counts what was found by label."""

    out: Path
    frames: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    objects: Counter[str] = field(default_factory=Counter)


def predict(
    detector: Detector,
    source: FrameSource,
    out: Path,
    *,
    model: str,
    camera: str = "predict",
    video_name: str = "video",
    show_progress: bool = True,
) -> Predicted:
    """Fill the folder `out`: the pictures with boxes, or one video of them, and `detections.json`, a list with
    a frame a line as `schemas/detections.v1.json` describes it.

    The folder appears whole, when all is done; an earlier result of this function in its place is replaced.

    Raises:
        BadSetting: the source has no end, or `out` holds something else.
        BadData: nothing of the source could be read.
    """
    if source.length is None:
        raise BadSetting("predict needs a source that ends: no loop, no watch, and frames=N for a synthetic one")
    result = Predicted(out)
    with _staged(out) as staging, (staging / DETECTIONS_FILE).open("w", encoding="utf-8") as lines:
        writer = _writer(source, staging, video_name)
        captures = progress(source.captures(), total=source.length, description="predict", show=show_progress)
        try:
            for batch in _batches(captures):
                _look_at(batch, detector, writer, lines, result, model=model, camera=camera, epoch=source.epoch)
        finally:
            source.close()
            writer.close()
        lines.write("\n]\n")
        if not result.frames:
            raise BadData(
                f"none of {len(result.bad)} pictures could be read: {'; '.join(list(result.bad.values())[:3])}"
            )
    return result


def _look_at(
    batch: list[Capture],
    detector: Detector,
    writer: "_Writer",
    lines: TextIO,
    result: Predicted,
    *,
    model: str,
    camera: str,
    epoch: str,
) -> None:
    frames = [frame_of_capture(capture, camera, epoch) for capture in batch]
    for frame, outcome in zip(frames, detect_frames(detector, frames, model=model), strict=True):
        if isinstance(outcome, Unseen):
            named = writer.name_of(frame.seq) or f"frame {frame.seq}"
            result.bad[named] = f"{named}: {outcome.reason}"
            logger.warning("left out: %s", result.bad[named])
            continue
        found, rgb = drawn(outcome, detector.labels)
        writer.write(found, rgb)
        lines.write((",\n" if result.frames else "[\n") + detections_json(found, file=writer.name_of(frame.seq)))
        result.frames += 1
        result.objects.update(one.label for one in found.detections)


class _Writer(Protocol):
    def name_of(self, seq: int) -> str | None:
        """The file that a frame came from, where it was one."""

    def write(self, found: Detections, rgb: Pixels, /) -> None: ...

    def close(self) -> None: ...


def _writer(source: FrameSource, folder: Path, video_name: str) -> _Writer:
    if isinstance(source, PictureFiles):
        return _PictureWriter(source, folder)
    return _VideoWriter(folder / f"{video_name}.mp4", float(getattr(source, "fps", USUAL_FPS)))


class _PictureWriter:
    def __init__(self, source: PictureFiles, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def name_of(self, seq: int) -> str:
        return self._source.path_of(seq).name

    def write(self, found: Detections, rgb: Pixels) -> None:
        name = self.name_of(found.seq)
        # a.png and a.jpg may lie side by side.
        target = name if name.lower().endswith((".jpg", ".jpeg")) else f"{name}.jpg"
        (self._folder / target).write_bytes(encode_jpeg(rgb))

    def close(self) -> None: ...


class _VideoWriter:
    def __init__(self, path: Path, fps: float) -> None:
        self._video = VideoFile(path, fps)

    def name_of(self, seq: int) -> None: ...  # a frame of a video has none

    def write(self, _: Detections, rgb: Pixels) -> None:
        self._video.write(rgb)

    def close(self) -> None:
        self._video.close()


def _batches(captures: Iterable[Capture]) -> Iterator[list[Capture]]:
    rest = iter(captures)
    while batch := list(islice(rest, BATCH)):
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
