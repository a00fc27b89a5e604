"""The broker on this machine: started, found again, ended."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from kafka_server import HEAP_MB, JARS

from vigie.errors import Unavailable
from vigie.loopback import free_port
from vigie.streaming.broker import broker_running, start_broker, stop_broker

pytestmark = pytest.mark.services


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    needs.java_and_maven()
    yield tmp_path / "kafka"
    stop_broker(tmp_path / "kafka")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_broker_outlives_its_starter_is_found_again_and_ends_without_a_trace(folder: Path) -> None:
    port = free_port()
    arguments = f"Path({str(folder)!r}), port={port}, jars=Path({str(JARS)!r}), heap_mb={HEAP_MB}"
    script = f"from pathlib import Path; from vigie.streaming.broker import *; print(start_broker({arguments}))"
    starter = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert starter.returncode == 0, starter.stderr
    assert starter.stdout == f"127.0.0.1:{port}\n"
    running = broker_running(folder)
    assert running is not None
    assert answers(port)
    assert start_broker(folder, port=port, jars=JARS) == running.address
    assert broker_running(folder) == running
    with pytest.raises(Unavailable, match="make stop-kafka"):
        start_broker(folder, port=free_port(), jars=JARS)
    assert stop_broker(folder)
    assert not is_alive(running.pid)
    assert not answers(port)
    assert broker_running(folder) is None
    assert not stop_broker(folder)


def test_a_killed_broker_is_not_taken_for_running_and_starts_again(folder: Path) -> None:
    port = free_port()
    start_broker(folder, port=port, jars=JARS, heap_mb=HEAP_MB)
    before = broker_running(folder)
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    give_up_at = time.monotonic() + 10
    while broker_running(folder) is not None and time.monotonic() < give_up_at:
        time.sleep(0.02)
    assert broker_running(folder) is None
    start_broker(folder, port=port, jars=JARS, heap_mb=HEAP_MB)
    after = broker_running(folder)
    assert after is not None
    assert after.pid != before.pid


def test_a_broker_that_cannot_start_tells_why_and_leaves_no_process(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=of-another-node\n")
    (folder / "formatted").write_text("of-another-node")
    with pytest.raises(Unavailable, match=r"while starting: .*7"):
        start_broker(folder, port=free_port(), jars=JARS, heap_mb=HEAP_MB)
    assert broker_running(folder) is None


def test_java_that_refuses_its_options_is_told(folder: Path) -> None:
    with pytest.raises(Unavailable, match="Too small maximum heap"):
        start_broker(folder, port=free_port(), jars=JARS, heap_mb=1)
    assert broker_running(folder) is None


def test_a_port_in_use_is_named_with_what_to_set(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} .*KAFKA_BOOTSTRAP_SERVERS"):
            start_broker(folder, port=port, jars=JARS)
    assert broker_running(folder) is None
