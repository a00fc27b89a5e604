"""The live side as real processes: up, what they do, and that nothing of them stays."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from stream_parts import all_of, half

from vigie.arrangement import Entry, Latency, Throughput, save
from vigie.bundle import FP32, open_bundle
from vigie.errors import BadBundle, BadSetting, Unavailable
from vigie.pictures import Picture, encode_jpeg
from vigie.settings import Settings, load_settings
from vigie.streaming import supervise
from vigie.streaming.deploy import run_status, run_stop, run_up, stream_folder
from vigie.streaming.messages import Topics
from vigie.streaming.processes import read_marker, supervisor_of
from vigie.streaming.run import open_bus
from vigie.streaming.web.client import watch

pytestmark = [pytest.mark.services]

ROOT = Path(__file__).parents[2]
TOPICS = Topics()
CAMERA = "synthetic:fps=20,width=160,height=120,faces=1"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Of a place of its own, in which nothing runs when the test is over."""
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VIGIE_BUS__ADAPTER", "embedded")
    monkeypatch.setenv("VIGIE_WEB__PORT", "0")
    made = load_settings(root=ROOT)
    yield made
    run_stop(made)


def up(settings: Settings, bundle: Path, source: str = CAMERA, **more: object) -> str:
    return run_up(settings, root=ROOT, source=source, model=bundle, **more)  # type: ignore[arg-type]


def states(settings: Settings) -> dict[str, str]:
    return {process.name: process.state for process in run_status(settings).processes}


def pids(settings: Settings) -> dict[str, int]:
    return {process.name: process.pid for process in run_status(settings).processes if process.pid}


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def back(settings: Settings, name: str, killed: int) -> bool:
    return pids(settings).get(name) not in (None, killed) and states(settings)[name] == "running"


def ids(settings: Settings, topic: str) -> list[str]:
    bus = open_bus(settings.bus)
    found = [message.headers["ce_id"] for message in all_of(bus, topic)]
    bus.close()
    return found


async def first_frames(page: str, count: int) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []
    async for header, jpeg in watch(page, 20):
        seen.append((header["camera"], Picture.from_bytes(jpeg).width))
        if len(seen) == count:
            break
    return seen


def test_a_stream_starts_shows_frames_tells_its_state_and_leaves_no_process(tmp_path: Path, tiny_bundle: Path) -> None:
    environment = {**os.environ, "VIGIE_RUNS": str(tmp_path / "runs")}

    def vigie(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vigie", "stream", *words]
        return subprocess.run(
            command, check=False, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=90
        )

    try:
        started = vigie("up", "--bus", "embedded", "--port", "0", "--model", str(tiny_bundle), "--camera", "door")
        assert started.returncode == 0, started.stderr
        page = started.stdout.split()[2]
        assert asyncio.run(first_frames(page, 5)) == [("door", 640)] * 5

        told = json.loads(vigie("status", "--json").stdout)
        assert [(one["name"], one["state"]) for one in told["processes"]] == [
            ("worker", "running"),
            ("web", "running"),
            ("ingest", "running"),
        ]
        assert told["page"] == page
        assert told["records"]["frames"] >= told["records"]["annotated"] >= 5
        assert 0 <= told["behind"] < 30

        again = vigie("up", "--bus", "embedded", "--port", "0", "--model", str(tiny_bundle))
        assert again.returncode == 1
        assert "a stream runs already" in again.stderr
        assert len(again.stderr.strip().splitlines()) == 1
    finally:
        stopped = vigie("stop")
    assert (stopped.returncode, stopped.stdout.strip()) == (0, "the stream is stopped")
    assert [one["pid"] for one in told["processes"] if alive(one["pid"])] == []
    assert vigie("stop").stdout.strip() == "nothing ran"
    assert "nothing runs" in vigie("status").stdout


def test_a_source_that_ends_shows_as_finished_and_is_not_sent_again(
    settings: Settings, tiny_bundle: Path, tmp_path: Path
) -> None:
    for seq in range(12):
        (tmp_path / f"{seq:02}.jpg").write_bytes(half("left", seed=seq) if seq else b"garbage")
    up(settings, tiny_bundle, str(tmp_path))
    wait_until(lambda: states(settings)["ingest"] == "finished")
    wait_until(lambda: run_status(settings).behind == 0)
    time.sleep(2)
    found = run_status(settings)
    assert {one.name: one.state for one in found.processes} == {
        "worker": "running",
        "web": "running",
        "ingest": "finished",
    }
    assert found.records == {"frames": 12, "detections": 11, "annotated": 11, "frames.dead-letter": 1}
    assert found.dead_letters == 1


@pytest.mark.chaos
def test_a_killed_worker_comes_back_and_no_frame_is_lost(settings: Settings, tiny_bundle: Path) -> None:
    up(settings, tiny_bundle)
    for _ in range(2):
        time.sleep(1)
        killed = pids(settings)["worker"]
        os.kill(killed, signal.SIGKILL)
        wait_until(partial(back, settings, "worker", killed))
    os.kill(pids(settings)["ingest"], signal.SIGSTOP)
    wait_until(lambda: run_status(settings).behind == 0)
    assert set(ids(settings, TOPICS.frames)) == set(ids(settings, TOPICS.detections))
    os.kill(pids(settings)["ingest"], signal.SIGCONT)


def test_the_worker_of_a_stream_runs_what_a_benchmark_chose(
    settings: Settings, tiny_bundle: Path, tmp_path: Path
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("{}\n")
    saved = load_settings(config, root=ROOT)
    assert saved.benchmark_file == tmp_path / "benchmark.yaml"
    entry = Entry(
        measured_at=datetime(2026, 5, 1, tzinfo=UTC),
        file=FP32,
        runtime="tflite",
        precision="f32",
        latency=Latency(threads=1, milliseconds=5),
        throughput=(Throughput(processes=2, threads=1, frames_per_s=300),),
    )
    save(saved.benchmark_file, "tiny", entry)
    up(saved, tiny_bundle, f"{CAMERA},frames=3", config=config)
    assert states(settings).keys() == {"worker", "web", "ingest"}  # one camera: a second worker had nothing to do
    wait_until(lambda: len(ids(settings, TOPICS.detections)) == 3)
    told = (stream_folder(settings) / "worker.log").read_text()
    assert "as benchmark chose: runtime=tflite file=model_fp32.tflite precision=f32 threads=1" in told


@pytest.mark.chaos
def test_two_workers_share_the_stream_and_one_goes_on_alone(
    settings: Settings, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_WORKER__PROCESSES", "2")
    monkeypatch.setenv("VIGIE_BUS__EMBEDDED__SESSION_TIMEOUT_S", "2")
    up(load_settings(root=ROOT), tiny_bundle, f"{CAMERA},frames=160")
    assert states(settings) == {"worker-1": "running", "worker-2": "running", "web": "running", "ingest": "running"}
    wait_until(lambda: len(ids(settings, TOPICS.detections)) > 5)
    reading = read_marker(supervise.marker_of(stream_folder(settings), "worker-1"))
    assert reading is not None
    os.kill(reading.identity.pid, signal.SIGKILL)
    wait_until(lambda: states(settings)["ingest"] == "finished", timeout_s=60)
    wait_until(lambda: run_status(settings).behind == 0, timeout_s=60)
    assert set(ids(settings, TOPICS.detections)) == set(ids(settings, TOPICS.frames))
    assert len(set(ids(settings, TOPICS.frames))) == 160


@pytest.mark.chaos
def test_children_end_with_a_supervisor_that_is_killed(settings: Settings, tiny_bundle: Path) -> None:
    up(settings, tiny_bundle)
    children = pids(settings)
    supervisor = supervisor_of(stream_folder(settings))
    assert supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in children.values()), 10)
    assert run_status(settings).processes == ()


@pytest.mark.chaos
def test_stop_leaves_nothing_of_a_stream_whose_supervisor_was_just_killed(
    settings: Settings, tiny_bundle: Path
) -> None:
    up(settings, tiny_bundle)
    children = pids(settings)
    supervisor = supervisor_of(stream_folder(settings))
    assert supervisor
    os.kill(supervisor.pid, signal.SIGKILL)
    run_stop(settings)
    assert [pid for pid in (supervisor.pid, *children.values()) if alive(pid)] == []


def test_what_does_not_start_is_named_and_all_is_stopped(
    settings: Settings, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"the web did not start: port {port} on 127.0.0.1 is in use") as caught:
            up(settings, tiny_bundle, port=port)
    assert "\n" not in str(caught.value)
    markers = [read_marker(supervise.marker_of(stream_folder(settings), name)) for name in ("worker", "web", "ingest")]
    assert markers == [None, None, None]
    assert run_status(settings).processes == ()
    assert supervisor_of(stream_folder(settings)) is None


def test_what_is_missing_is_told_before_anything_starts(settings: Settings, tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="neither a file, a folder nor a source"):
        up(settings, tiny_bundle, str(tmp_path / "missing.mp4"))
    with pytest.raises(BadBundle, match="there is no such model bundle"):
        up(settings, tmp_path / "missing")
    with pytest.raises(BadSetting, match="there is no bus named"):
        up(settings, tiny_bundle, bus="pigeons")
    assert not stream_folder(settings).exists()


def test_a_folder_too_deep_for_a_socket_will_do(
    settings: Settings, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / ("deep" * 20) / "100% r u n s"))
    deep = load_settings(root=ROOT)
    try:
        up(deep, tiny_bundle)
        assert set(states(deep).values()) == {"running"}
        socket_path = Path((stream_folder(deep) / "socket").read_text())
        assert socket_path.exists()
    finally:
        assert run_stop(deep)
    assert not socket_path.parent.exists()


def test_without_a_source_the_settings_cameras_are_started_or_what_the_model_says(
    settings: Settings, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_bundle(tiny_bundle).trial_source().startswith("synthetic")
    cameras = [
        {"id": "front door", "source": CAMERA},
        {"id": "gate", "source": "synthetic", "options": {"seed": 5, "fps": 5, "width": 128, "height": 96}},
    ]
    monkeypatch.setenv("VIGIE_CAMERAS", json.dumps(cameras))
    up(load_settings(root=ROOT), tiny_bundle, "")
    assert set(states(settings)) == {"worker", "web", "ingest-front-door", "ingest-gate"}
    wait_until(lambda: (run_status(settings).records or {})["annotated"] > 20)
    bus = open_bus(settings.bus)
    assert {message.key for message in all_of(bus, TOPICS.annotated)} == {"front door", "gate"}
    bus.close()


def test_the_trial_pictures_of_a_bundle_are_shown_again_and_again(
    settings: Settings, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "models" / "faces" / "1")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "trial_source": "trial"}))
    (bundle / "trial").mkdir()
    (bundle / "trial" / "one.jpg").write_bytes(encode_jpeg(np.zeros((96, 128, 3), np.uint8)))
    up(settings, bundle, "")
    wait_until(lambda: (run_status(settings).records or {})["annotated"] > 2)
    assert set(states(settings).values()) == {"running"}
