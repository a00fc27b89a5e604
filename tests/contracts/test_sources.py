"""Every source keeps the promises of `vigie.ports.FrameSource`."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vigie import adapters
from vigie.cartoons import MovingScene
from vigie.pictures import Picture, encode_jpeg
from vigie.ports import FrameSource

FRAMES = 6


@dataclass(frozen=True)
class Place:
    """A finite source of `FRAMES` captures, and the options that make it go on for ever at 20 frames a second."""

    adapter: str
    options: dict[str, Any]
    endless: dict[str, Any]

    def open(self, **more: object) -> FrameSource:
        source: FrameSource = adapters.build("source", self.adapter, {**self.options, **more})
        return source

    def open_endless(self) -> FrameSource:
        options = {**self.options, **self.endless, "fps": 20}
        source: FrameSource = adapters.build(
            "source", self.adapter, {name: value for name, value in options.items() if value is not None}
        )
        return source


def scenes() -> list[Any]:
    return [MovingScene(3, 160, 120, 1).at(seq)[0] for seq in range(FRAMES)]


def folder(root: Path) -> Place:
    for number, rgb in enumerate(scenes()):
        (root / f"{number:02}.jpg").write_bytes(encode_jpeg(rgb))
    return Place("files", {"path": root}, {"loop": True})


def pngs(root: Path) -> Place:
    for number, rgb in enumerate(scenes()):
        cv2.imwrite(str(root / f"{number}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return Place("files", {"path": root}, {"loop": True})


def video(root: Path) -> Place:
    path = root / "video.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 120))
    for rgb in scenes():
        writer.write(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    writer.release()
    return Place("files", {"path": path}, {"loop": True})


def synthetic(_: Path) -> Place:
    return Place("synthetic", {"seed": 3, "width": 160, "height": 120, "faces": 1, "frames": FRAMES}, {"frames": None})


@pytest.fixture(params=[folder, pngs, video, synthetic], ids=["folder", "png", "video", "synthetic"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    make: Callable[[Path], Place] = request.param
    return make(tmp_path)


def test_every_adapter_is_tested_here() -> None:
    # camera and rtsp have no end and repeat nothing: tests/services/test_rtsp.py
    assert adapters.names("source") == ["camera", "files", "rtsp", "synthetic"]


def test_captures_are_counted_from_nought_and_as_many_as_were_promised(place: Place) -> None:
    source = place.open(paced=False)
    assert source.length == FRAMES
    assert [capture.seq for capture in source.captures()] == list(range(FRAMES))


def test_captures_are_jpeg_pictures_with_the_time_they_were_taken(place: Place) -> None:
    before = datetime.now(UTC)
    captures = list(place.open(paced=False).captures())
    times = [before, *(capture.captured_at for capture in captures), datetime.now(UTC)]
    assert times == sorted(times)
    for capture in captures:
        shown = Picture.from_bytes(capture.encoded)
        assert (shown.format, shown.width, shown.height) == ("jpeg", 160, 120)


def test_the_same_source_has_the_same_epoch_and_gives_the_same_bytes(place: Place) -> None:
    first, second = place.open(paced=False), place.open(paced=False)
    assert first.epoch == second.epoch != ""
    assert [one.encoded for one in first.captures()] == [one.encoded for one in second.captures()]


def test_a_pace_is_kept(place: Place) -> None:
    start = time.monotonic()
    assert len(list(place.open(fps=20).captures())) == FRAMES
    assert 0.9 * (FRAMES - 1) / 20 <= time.monotonic() - start < 2


def test_a_source_without_an_end_says_so_and_goes_on(place: Place) -> None:
    source = place.open_endless()
    assert source.length is None
    captures = list(islice(source.captures(), 2 * FRAMES))
    assert [capture.seq for capture in captures] == list(range(2 * FRAMES))
    source.close()


def test_closing_from_another_thread_ends_the_captures_at_once(place: Place) -> None:
    source = place.open_endless()
    timer = threading.Timer(0.3, source.close)
    timer.start()
    start = time.monotonic()
    seen = sum(1 for _ in source.captures())
    assert 0 < seen <= 10
    assert time.monotonic() - start < 1.5
    timer.join()


def test_closing_twice_is_harmless(place: Place) -> None:
    source = place.open()
    source.close()
    source.close()
    assert list(source.captures()) == []


def test_pictures_differ_where_the_scene_moves() -> None:
    source = synthetic(Path()).open(paced=False)
    first, *_, last = [Picture.from_bytes(capture.encoded).rgb() for capture in source.captures()]
    assert np.abs(first.astype(int) - last.astype(int)).max() > 30
