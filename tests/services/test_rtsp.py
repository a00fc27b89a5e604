"""A real RTSP camera, GStreamer's server: read, watched by a model, stalled, dead, and protected by a password."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import needs
import numpy as np
import pytest
from rtsp_server import FPS, HEIGHT, PACKAGES, SYSTEM_PYTHON, WIDTH, RtspServer
from stream_parts import TOPICS, BrightHalf, all_of, embedded

from vigie.domain import Detections
from vigie.errors import BadSetting, Unavailable
from vigie.pictures import Picture
from vigie.ports import Capture
from vigie.streaming import live
from vigie.streaming.ingest import ingest
from vigie.streaming.live import LiveSource
from vigie.streaming.messages import detections_from_json, frame_of
from vigie.streaming.predict import Predicted, predict
from vigie.streaming.sources import camera, rtsp
from vigie.streaming.spec import open_source

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

# What videotestsrc draws in the upper part of `pattern=smpte`, from the left: seven bars.
BARS = [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255)]


@pytest.fixture(scope="module", autouse=True)
def gstreamer() -> None:
    look = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", look], check=True, capture_output=True, env={"PATH": os.environ["PATH"]})
    except (OSError, subprocess.CalledProcessError):
        needs.missing(f"needs GStreamer's RTSP server: apt-get install {PACKAGES}")


@pytest.fixture(scope="module")
def server() -> Iterator[RtspServer]:
    with RtspServer() as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(live, "LONGEST_PAUSE_S", 0.5)


def opened(url: str, **options: object) -> LiveSource:
    source = open_source(url, options)
    assert isinstance(source, LiveSource)
    return source


def first(source: LiveSource, frames: int) -> list[Capture]:
    captures = list(islice(source.captures(), frames))
    source.close()
    return captures


def test_the_picture_is_what_the_camera_shows(server: RtspServer) -> None:
    (capture,) = first(opened(server.url), 1)
    rgb = Picture.from_bytes(capture.encoded).rgb()
    assert rgb.shape == (HEIGHT, WIDTH, 3)
    middles = [rgb[HEIGHT // 4, WIDTH * (2 * bar + 1) // 14] for bar in range(7)]
    assert np.abs(np.asarray(middles, int) - np.asarray(BARS)).max() < 30


def test_captures_are_counted_without_an_end_and_have_the_time_they_were_taken(server: RtspServer) -> None:
    source = opened(server.url)
    assert source.length is None
    assert source.fps == FPS
    captures = first(source, 10)
    assert [capture.seq for capture in captures] == list(range(10))
    times = [capture.captured_at for capture in captures]
    assert times == sorted(times)
    assert (times[-1] - times[0]).total_seconds() == pytest.approx(9 / FPS, abs=0.6)


def test_what_a_camera_gave_it_never_gives_again(server: RtspServer) -> None:
    one, other = opened(server.url), opened(server.url)
    assert one.epoch != other.epoch
    one.close()
    other.close()


def test_a_slow_reader_sees_the_newest_picture_and_misses_the_others(server: RtspServer) -> None:
    source = opened(server.url)
    captures = source.captures()
    next(captures)
    time.sleep(1)
    taken = next(captures).captured_at
    age_s = time.time() - taken.timestamp()
    source.close()
    assert age_s < 0.4
    assert source.missed >= 5


def test_fewer_frames_a_second_can_be_asked_for(server: RtspServer) -> None:
    begun = time.monotonic()
    source = opened(server.url, fps=4)
    assert source.fps == 4
    first(source, 5)
    assert time.monotonic() - begun >= 4 / 4


def test_closing_from_another_thread_ends_the_captures_at_once(server: RtspServer) -> None:
    source = opened(server.url)
    captures = source.captures()
    next(captures)
    timer = threading.Timer(0.5, source.close)
    timer.start()
    begun = time.monotonic()
    assert 0 < sum(1 for _ in captures) <= 20
    assert time.monotonic() - begun < 1.5
    timer.join()
    source.close()
    assert list(source.captures()) == []


def test_a_camera_that_hangs_is_opened_again_and_the_gap_is_noted(
    quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    with RtspServer() as server:
        source = opened(server.url)
        captures = source.captures()
        before = next(captures)
        with server.stalled():
            time.sleep(live.READ_S + 2)
            assert [gap.until for gap in source.gaps] == [None]
        after = list(islice(captures, 5))
        source.close()
    (gap,) = source.gaps
    assert gap.until is not None
    assert gap.since < gap.until
    assert gap.seconds(gap.until) >= 2
    assert after[-1].seq == before.seq + 5
    assert "no picture comes any more; it is opened again" in caplog.text
    assert "pictures come again; seconds without one:" in caplog.text


def test_a_camera_that_was_switched_off_and_on_goes_on(quick: None) -> None:
    with RtspServer() as server:
        source = opened(server.url)
        captures = source.captures()
        next(captures)
        server.kill()
        time.sleep(1)
        server.start()
        while len(source.gaps) == 0 or source.gaps[-1].until is None:
            last = next(captures)
        source.close()
    assert last.captured_at == source.gaps[-1].until
    assert len(source.gaps) == 1


def test_a_dead_camera_is_a_clear_error(server: RtspServer) -> None:
    for url, said in (
        ("rtsp://me:secret@127.0.0.1:1/live", "does not answer (Connection refused); see that it is on"),
        (server.url.replace("/live", "/nothing"), "there is no stream /nothing on this camera; see to the path"),
    ):
        begun = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            open_source(url)
        assert said in str(caught.value)
        assert time.monotonic() - begun < rtsp.OPEN_S + 1


def test_a_camera_that_accepts_and_says_nothing_is_a_clear_error_in_time() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="gives no video within 3 s: what answers there speaks no RTSP"):
            open_source(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/live")
        assert time.monotonic() - begun < 2 * rtsp.OPEN_S + 2


@pytest.mark.parametrize("url", ["rtsp://me:se#cret@door/live", "rtsp://me:1/cret@door", "rtsp://", "rtsp://door:x/"])
def test_an_address_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(
        BadSetting, match=r"is no address of a camera; write rtsp://USER:PASSWORD@HOST:PORT/PATH"
    ) as caught:
        open_source(url)
    assert "cret" not in str(caught.value)


def test_a_number_without_a_camera_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "DEVICES", tmp_path)
    with pytest.raises(Unavailable, match=r"camera 7: there is no .*video7; this machine has no camera; plug one in"):
        open_source("7")
    for name in ("video0", "video10", "video2", "videos"):
        (tmp_path / name).touch()
    with pytest.raises(Unavailable, match=r"camera 7: there is no .*video7; cameras here: 0, 2, 10$"):
        open_source("7")


@pytest.fixture(scope="module")
def locked() -> Iterator[RtspServer]:
    with RtspServer(user="me", password="s3cret") as running:
        yield running


def test_a_password_opens_the_camera_and_no_frame_tells_it(
    locked: RtspServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    bus = embedded(tmp_path)
    source = opened(locked.url)
    stop = threading.Event()
    timer = threading.Timer(1, stop.set)
    timer.start()
    ingest(source, camera="door", bus=bus, topics=TOPICS, stop=stop)
    frames = [frame_of(message) for message in all_of(bus, TOPICS.frames)]
    assert len(frames) > 3
    told = [
        caplog.text,
        *capfd.readouterr(),
        source.epoch,
        *(str(message.headers) for message in all_of(bus, TOPICS.frames)),
    ]
    assert not [text for text in told if "s3cret" in text]
    timer.join()


def test_a_wrong_or_missing_password_is_told(locked: RtspServer, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unavailable, match=f"rtsp://127.0.0.1:{locked.port}/live: .*it wants another user or password"):
        open_source(locked.url.replace("s3cret", "0ther"))
    with pytest.raises(Unavailable, match="it wants a user and a password"):
        open_source(locked.url.replace("me:s3cret@", ""))
    assert "0ther" not in "".join(capfd.readouterr())


def watched(
    url: str, out: Path, *, seconds: float | None = None, frames: int | None = None, voc: bool = False
) -> Predicted:
    return predict(
        BrightHalf(), opened(url), out, model="m/1", video_name="seen", seconds=seconds, frames=frames, voc=voc,
        show_progress=False,
    )  # fmt: skip


def kept(out: Path) -> tuple[list[Detections], float]:
    """The frames of detections.json, and the length of the video in seconds, every frame of it read."""
    found = [detections_from_json(json.dumps(frame)) for frame in json.loads((out / "detections.json").read_text())]
    (path,) = out.glob("*.mp4")
    video = cv2.VideoCapture(str(path))
    frames = 0
    while video.read()[0]:
        frames += 1
    return found, frames / video.get(cv2.CAP_PROP_FPS)


def test_predict_keeps_so_many_seconds_of_a_camera_at_its_own_speed(server: RtspServer, tmp_path: Path) -> None:
    done = watched(server.url, tmp_path / "out", seconds=3)
    found, video_s = kept(tmp_path / "out")
    assert done.frames == len(found) > 5
    assert {one.label for frame in found for one in frame.detections} == {"left"}  # the bars get darker to the right
    assert video_s == pytest.approx((found[-1].captured_at - found[0].captured_at).total_seconds(), abs=0.6)


def test_predict_keeps_so_many_frames_of_a_camera_with_labels(server: RtspServer, tmp_path: Path) -> None:
    assert watched(server.url, tmp_path / "out", frames=4, voc=True).frames == 4
    assert sorted(path.name for path in (tmp_path / "out" / "images").iterdir()) == [
        f"seen_{n:06}.jpg" for n in range(4)
    ]
    assert len(list((tmp_path / "out" / "Annotations").iterdir())) == 4


def test_the_end_comes_in_time_even_while_the_camera_hangs(tmp_path: Path) -> None:
    with RtspServer() as server:
        timer = threading.Timer(1.5, lambda: server._process.send_signal(signal.SIGSTOP))
        timer.start()
        begun = time.monotonic()
        done = watched(server.url, tmp_path / "out", seconds=5)
        assert time.monotonic() - begun < 5 + live.LETTING_GO_S + 1.5
        server._process.send_signal(signal.SIGCONT)
    assert done.frames > 5
    assert [gap.until for gap in done.gaps] == [None]


def test_ctrl_c_keeps_what_was_seen_whole(tiny_bundle: Path, tmp_path: Path) -> None:
    with RtspServer(user="me", password="s3cret") as server:
        words = [
            sys.executable,
            "-m",
            "vigie",
            "predict",
            str(tiny_bundle),
            server.url,
            "--out",
            str(tmp_path / "out"),
            "--json",
        ]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not [path for path in tmp_path.glob(".out-*/new/*.mp4") if path.stat().st_size > 0]:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        said, logged = process.communicate(timeout=30)
    assert process.returncode == 0, logged
    found, _ = kept(tmp_path / "out")
    assert json.loads(said)["frames"] == len(found) > 0
    assert "s3cret" not in said + logged + (tmp_path / "out" / "detections.json").read_text()
    assert [path.name for path in (tmp_path / "out").glob("*.mp4")] == [f"127.0.0.1-{server.port}-live.mp4"]


def test_a_recorded_clip_is_a_camera_too(tmp_path: Path) -> None:
    clip = needs.shared_data() / "videos" / "opencv_vtest_pets09_480x360.mp4"
    with RtspServer(source=str(clip)) as server:
        captures = first(opened(server.url), 3)
    recorded = cv2.VideoCapture(str(clip))
    assert recorded.isOpened()
    frame = cv2.cvtColor(recorded.read()[1], cv2.COLOR_BGR2RGB)
    shown = Picture.from_bytes(captures[0].encoded).rgb()
    assert shown.shape == frame.shape
    # The camera does not move: but for the people it shows the same place.
    assert np.median(np.abs(shown.astype(int) - frame.astype(int))) < 12
