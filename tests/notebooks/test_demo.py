"""The promise of the README, whole: some six minutes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vigie.loopback import free_port


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_trains_deploys_and_finds_the_faces_of_its_camera(tmp_path: Path) -> None:
    port = free_port()
    folders = {"VIGIE_RUNS": str(tmp_path / "runs"), "VIGIE_MODELS": str(tmp_path / "models")}
    done = subprocess.run(
        [sys.executable, "-m", "vigie", "demo", "--seconds", "20"],
        env={**os.environ, **folders, "VIGIE_WEB__PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"The live page: http://127.0.0.1:{port}/" in done.stdout
    assert "annotated frames, a right box in" in done.stdout
    metrics = json.loads((tmp_path / "runs" / "demo" / "reports" / "metrics.json").read_text())
    assert metrics["mAP50"] >= 0.85
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", port)) != 0
