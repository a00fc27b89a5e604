"""A process is known by more than its number, and ends when it is told to."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vigie.streaming.processes import Identity, Marker, end, identity_of, read_marker, write_marker

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def stubborn() -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_process_that_does_not_listen_is_killed(stubborn: "subprocess.Popen[str]") -> None:
    identity = identity_of(stubborn.pid)
    assert identity
    assert identity.runs()
    # What is left of a child that its parent has not asked for counts as ended.
    assert end([identity], grace_s=0.3) == [identity]
    assert not identity.runs()
    assert end([identity]) == []


def test_the_same_number_with_another_start_is_another_process(stubborn: "subprocess.Popen[str]") -> None:
    assert not Identity(stubborn.pid, "0").runs()
    assert end([Identity(stubborn.pid, "0")]) == []
    assert stubborn.poll() is None


def test_a_marker_tells_who_wrote_it_and_whether_it_is_ready(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "worker.marker"
    assert read_marker(path) is None
    write_marker(path, ready=False)
    write_marker(path, ready=True, address="http://127.0.0.1:8000/")
    me = identity_of(os.getpid())
    assert me
    assert read_marker(path) == Marker(me, ready=True, address="http://127.0.0.1:8000/")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": {"pid": 1}}', json.dumps({"ready": True})])
def test_a_marker_that_is_not_whole_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "m").write_text(content)
    assert read_marker(tmp_path / "m") is None
