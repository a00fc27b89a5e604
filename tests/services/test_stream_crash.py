"""A real worker process is killed again and again, and every frame is answered all the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
from stream_parts import Pictures, all_of, half

from vigie.settings import load_settings
from vigie.streaming.ingest import ingest
from vigie.streaming.messages import Topics
from vigie.streaming.run import open_bus

pytestmark = [pytest.mark.services, pytest.mark.chaos]

ROOT = Path(__file__).parents[2]
TOPICS = Topics()
FRAMES = 250
KILLS = 3


def test_kill_9_repeats_frames_and_never_loses_one(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path))
    monkeypatch.setenv("VIGIE_BUS__ADAPTER", "embedded")
    bus = open_bus(load_settings(root=ROOT).bus)
    pictures = [half("left", seed=seq, width=640, height=480) if seq % 50 else b"garbage" for seq in range(FRAMES)]
    ingest(Pictures(pictures), camera="door", bus=bus, topics=TOPICS, stop=Event())

    command = [sys.executable, "-m", "vigie", "stream", "worker", "--model", str(tiny_bundle)]
    workers = []
    try:
        for kill in range(KILLS + 1):
            behind = bus.lag(TOPICS.frames, TOPICS.workers)
            worker = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            workers.append(worker)
            target = 0 if kill == KILLS else behind - FRAMES // (KILLS + 2)
            deadline = time.monotonic() + 60
            while bus.lag(TOPICS.frames, TOPICS.workers) > target:
                assert worker.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.005)
            os.kill(worker.pid, signal.SIGTERM if kill == KILLS else signal.SIGKILL)
            worker.wait(20)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert workers[-1].returncode == 0

    sent = [message.headers["ce_id"] for message in all_of(bus, TOPICS.frames)]
    found = [message.headers["ce_id"] for message in all_of(bus, TOPICS.detections)]
    drawn = [message.headers["ce_id"] for message in all_of(bus, TOPICS.annotated)]
    dead = [message.headers["ce_id"] for message in all_of(bus, TOPICS.dead_letters)]
    bus.close()
    assert len(sent) == FRAMES
    assert set(found) | set(dead) == set(sent)
    assert set(drawn) == set(found)
    assert len(set(dead)) == FRAMES // 50
    assert len(found) + len(dead) <= FRAMES + KILLS * 2 * 4  # only what was in hand comes again
    # The first answer to each frame comes in the camera's order.
    assert list(dict.fromkeys(found)) == [one for one in sent if one not in set(dead)]
