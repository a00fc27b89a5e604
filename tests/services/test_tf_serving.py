"""A model server in a process of its own that runs the real SavedModel: the commands use it, and it is killed."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from stream_parts import TOPICS, AwayBus, all_of, embedded, half, working

from vigie import adapters
from vigie.bundle import open_bundle
from vigie.loopback import free_port
from vigie.model_server import ModelServer, Refused
from vigie.ports import Detector
from vigie.streaming.ingest import ingest
from vigie.streaming.messages import detections_of
from vigie.streaming.spec import open_source

pytestmark = [pytest.mark.services, pytest.mark.slow]

PROGRAM = Path(__file__).parents[1] / "tf_serving_server.py"
FRAMES = 40


@dataclass
class Served:
    """The bundle's own process; it says its address once the model is loaded."""

    bundle: Path
    port: int

    def start(self) -> None:
        words = [sys.executable, PROGRAM, self.bundle.parents[1], self.bundle.parent.name, str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url == f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def served(tiny_bundle: Path) -> Iterator[Served]:
    running = Served(tiny_bundle, free_port())
    running.start()
    yield running
    running.kill()


def predicted(bundle: Path, out: Path, url: str, runtime: str) -> list[dict[str, Any]]:
    words = ["predict", bundle, "synthetic:frames=6,width=320,height=240", "--out", out, "--runtime", runtime]
    environment = {**os.environ, "VIGIE_WORKER__TF_SERVING__URL": url}
    subprocess.run([sys.executable, "-m", "vigie", *words], check=True, timeout=120, env=environment)
    frames: list[dict[str, Any]] = json.loads((out / "detections.json").read_text())
    return frames


def test_the_server_finds_what_the_files_of_the_bundle_find(served: Served, tmp_path: Path) -> None:
    ours = predicted(served.bundle, tmp_path / "ours", served.url, "tflite")
    theirs = predicted(served.bundle, tmp_path / "theirs", served.url, "tf_serving")
    assert sum(len(frame["detections"]) for frame in ours) > 3
    for one, other in zip(ours, theirs, strict=True):
        assert one["frame_id"] == other["frame_id"]
        assert [found["label"] for found in one["detections"]] == [found["label"] for found in other["detections"]]
        for a, b in zip(one["detections"], other["detections"], strict=True):
            assert a["score"] == pytest.approx(b["score"], abs=1e-3)
            assert a["box"] == pytest.approx(b["box"], abs=0.05)


def test_the_real_model_fails_a_batch_for_one_string_that_is_no_picture(served: Served) -> None:
    manifest = open_bundle(served.bundle).manifest
    server = ModelServer(served.url, manifest.name, manifest.version)
    strings = [half("left"), b"garbage", half("right")]
    jpegs = [{"b64": base64.b64encode(one).decode()} for one in strings]
    with pytest.raises(Refused) as caught:
        server.predict("serving_jpeg", {"jpegs": jpegs})
    assert caught.value.status == 400
    outputs = server.predict("serving_jpeg", {"jpegs": [jpegs[0], jpegs[2]]})
    assert len(outputs["num_detections"]) == 2


def test_a_server_that_is_killed_and_comes_back_costs_no_frame(served: Served, tmp_path: Path) -> None:
    options = {"model": served.bundle, "url": served.url, "total_timeout_s": 1}
    detector: Detector = adapters.build("detector", "tf_serving", options)
    bus = AwayBus(embedded(tmp_path))
    source = open_source(f"synthetic:frames={FRAMES},width=320,height=240", {"paced": False})
    ingest(source, camera="door", bus=bus, topics=TOPICS, stop=Event())

    def behind() -> int:
        return bus.real.lag(TOPICS.frames, TOPICS.workers)

    with working(bus, detector, batch=1):  # type: ignore[arg-type]
        while behind() > FRAMES - 5:
            time.sleep(0.01)
        served.kill()
        left = behind()
        time.sleep(2)
        assert 0 < left - 1 <= behind() <= left
        served.start()
        deadline = time.monotonic() + 60
        while behind():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert [detections_of(message).seq for message in all_of(bus, TOPICS.detections)] == list(range(FRAMES))
    assert all_of(bus, TOPICS.dead_letters) == []
