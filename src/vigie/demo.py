"""The whole way in one command: drawn faces to a model, the model to a camera that shows others, live.

It judges itself by what a client of the page receives, against what the camera knows it has drawn.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event

from vigie import notebooks
from vigie.cartoons import MovingScene
from vigie.domain import Box, Detection, LabelledBox
from vigie.errors import DemoFailed
from vigie.project import project_root
from vigie.settings import load_settings
from vigie.streaming.deploy import run_stop, run_up
from vigie.streaming.sources.synthetic import Options
from vigie.streaming.web.client import watch

logger = logging.getLogger(__name__)

# Far from the seeds that training sets are drawn from; its backgrounds are of another family.
CAMERA = Options(seed=20_000)
RIGHT_IOU = 0.5
RIGHT_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Verdict:
    """`right` of `frames` had a box of the right class on a face; `found` of all `faces` were."""

    frames: int
    right: int
    faces: int
    found: int

    @property
    def good(self) -> bool:
        return self.frames > 0 and self.right >= RIGHT_SHARE * self.frames

    def __str__(self) -> str:
        if not self.frames:
            return "the page showed no annotated frame"
        return (
            f"{self.frames} annotated frames, a right box in {self.right / self.frames:.0%} of them, "
            f"{self.found / max(1, self.faces):.0%} of all faces found"
        )


def demo(*, seconds: int = 0) -> Verdict | None:
    """Make the demo's bundle where it is stale, show it live, and stay until Ctrl-C, or for `seconds` and judge.

    Raises:
        DemoFailed: the page showed nothing, or too little of it was right.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends as Ctrl-C does: nothing is left behind
    run, _ = notebooks.make("export")
    settings = load_settings()
    camera = f"synthetic:seed={CAMERA.seed}"
    page = run_up(settings, root=project_root(), source=camera, name=run.name, bus="embedded")
    try:
        sys.stdout.write(f"The live page: {page}\n")
        sys.stdout.flush()
        if not seconds:
            _until_interrupted()
            return None
        verdict = asyncio.run(judged(page, seconds))
    finally:
        run_stop(settings)
    if not verdict.good:
        raise DemoFailed(
            f"{verdict}; expected a right box in {RIGHT_SHARE:.0%}. The logs are in {settings.runs / 'stream'}"
        )
    return verdict


def _until_interrupted() -> None:
    logger.info("it stays until Ctrl-C")
    try:
        Event().wait()
    except KeyboardInterrupt:
        logger.info("ending")


async def judged(page: str, seconds: float) -> Verdict:
    """Watch the page as a browser does, and compare with the camera's own truth."""
    scene = MovingScene(CAMERA.seed, CAMERA.width, CAMERA.height, CAMERA.faces)
    frames = right = faces = found = 0
    async for header, _ in watch(page, seconds):
        truth = scene.truth(header["seq"])
        detections = [Detection(one["label"], one["score"], Box(*one["box"])) for one in header["detections"]]
        matched = count_found(truth, detections)
        frames, right = frames + 1, right + bool(matched)
        faces, found = faces + len(truth), found + matched
    return Verdict(frames, right, faces, found)


def count_found(truth: Iterable[LabelledBox], detections: Iterable[Detection]) -> int:
    """How many true objects have a box of their class at IoU .5; a box counts for one object."""
    left = list(detections)
    found = 0
    for marked in truth:
        match = next((d for d in left if d.label == marked.label and d.box.iou(marked.box) >= RIGHT_IOU), None)
        if match is not None:
            left.remove(match)
            found += 1
    return found
