"""Cameras for the tests of the live page: annotated pictures onto a real bus, at a pace."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np

from vigie.domain import Box, Detection, Detections, frame_id
from vigie.pictures import encode_jpeg
from vigie.ports import Bus
from vigie.streaming.messages import Annotated, Topics, annotated_message

TOPICS = Topics("test.")
FACE = Detection("with_mask", 0.9, Box(10, 20, 60, 80))


def noise_jpeg(seed: int, *, width: int = 320, height: int = 240, quality: int = 80) -> bytes:
    """Noise does not compress: 320x240 is about 50 KB, 640x360 at the same quality 150 KB."""
    rng = np.random.default_rng(seed)
    return encode_jpeg(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), quality)


def annotated(
    camera: str, seq: int, jpeg: bytes, *, size: tuple[int, int] = (320, 240), found: Sequence[Detection] = (FACE,)
) -> Annotated:
    width, height = size
    now = datetime.now(UTC)
    facts = Detections(
        frame_id(camera, "test", seq, jpeg), camera, seq, now, width, height, "test", tuple(found), {"detect": 12.5}
    )
    return Annotated(facts, jpeg)


def publish(bus: Bus, frame: Annotated) -> None:
    bus.send(annotated_message(TOPICS, frame))
    bus.flush()


@contextmanager
def cameras(bus: Bus, names: Sequence[str], *, fps: float, picture: Callable[[str, int], Annotated]) -> Iterator[None]:
    """Each camera sends `picture(name, seq)` at `fps` from one thread, until the block ends."""
    bus.ensure_topics([TOPICS.annotated])
    stop = threading.Event()

    def film() -> None:
        start = time.monotonic()
        seq = 0
        while not stop.wait(max(start + seq / fps - time.monotonic(), 0)):
            for name in names:
                bus.send(annotated_message(TOPICS, picture(name, seq)))
            bus.flush()
            seq += 1

    thread = threading.Thread(target=film, name="cameras", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
