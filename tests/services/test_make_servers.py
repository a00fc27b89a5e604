"""What a person starts with `make` and opens in a browser answers."""

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import needs
import pytest

from vigie.loopback import free_port

pytestmark = pytest.mark.services
START_S = 60.0


@contextmanager
def started(target: str, arguments: str, folder: Path) -> Iterator[None]:
    if not (needs.ROOT / ".venv" / ".developer").exists():
        needs.missing("needs the environment that make lint makes")
    environment = {**os.environ, "VIGIE_RUNS": str(folder), "BROWSER": "true"}
    command = ["make", target, f"ARGS={arguments}"]
    process = subprocess.Popen(
        command,
        cwd=needs.ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def page(address: str) -> str:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.3)


def test_tensorboard_shows_the_runs(tmp_path: Path) -> None:
    port = free_port()
    with started("tensorboard", f"--port {port}", tmp_path):
        assert "TensorBoard" in page(f"http://127.0.0.1:{port}/")


def test_jupyterlab_opens_the_notebooks(tmp_path: Path) -> None:
    port = free_port()
    words = f"--port {port} --no-browser --IdentityProvider.token=secret"
    with started("notebooks", words, tmp_path):
        listing = page(f"http://127.0.0.1:{port}/api/contents/notebooks?token=secret")
        assert "01_data.ipynb" in listing
        assert "python3" in page(f"http://127.0.0.1:{port}/api/kernelspecs?token=secret")
