"""A camera machine: only what `vigie[stream]` brings, away from the checkout, and the whole live side runs."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("src", "data", "training", "export", "streaming", "pyproject.toml", "README.md", "LICENSE")
PIP = ("-m", "pip", "--disable-pip-version-check")


@dataclass(frozen=True)
class Machine:
    """An environment, and a folder to work in that knows nothing of the checkout."""

    python: Path
    home: Path

    def run(self, *words: str, timeout_s: float = 60) -> str:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("VIGIE_", "PYTHON", "KAFKA_"))
        }
        done = subprocess.run(
            [self.python, *words],
            check=False,
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("camera-machine")
    # A copy: building in the checkout would leave a folder there that later builds take files from.
    copy = folder / "checkout"
    copy.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(source, copy / name)
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    made = Machine(folder / "env" / "bin" / "python", folder / "home")
    made.home.mkdir()
    made.run(*PIP, "install", "-c", str(ROOT / "constraints.txt"), f"{copy}[stream]", timeout_s=280)
    yield made
    made.run("-m", "vigie", "stream", "stop")


def installed(machine: Machine) -> set[str]:
    return {entry["name"].lower() for entry in json.loads(machine.run(*PIP, "list", "--format=json"))}


def test_a_camera_machine_has_no_training_side(machine: Machine) -> None:
    assert "ai-edge-litert" in installed(machine)
    assert installed(machine) & {"tensorflow", "tf-keras", "tf-models-official", "jupyterlab", "pandas"} == set()


def test_a_camera_machine_detects_ten_frames(machine: Machine, tiny_bundle: Path) -> None:
    source = "synthetic:frames=10,fps=50"
    vigie = ("-m", "vigie", "stream")
    page = machine.run(
        *vigie, "up", "--source", source, "--model", str(tiny_bundle), "--bus", "embedded", "--port", "0", timeout_s=100
    )
    assert "http://127.0.0.1:" in page
    deadline = time.monotonic() + 60
    while (told := json.loads(machine.run(*vigie, "status", "--json")))["records"]["detections"] < 10:
        assert time.monotonic() < deadline, told
        time.sleep(0.5)
    assert told["records"] == {"frames": 10, "detections": 10, "annotated": 10, "frames.dead-letter": 0}

    out = machine.home / "seen"
    machine.run("-m", "vigie", "predict", str(tiny_bundle), source, "--out", str(out))
    found = json.loads((out / "detections.json").read_text())
    assert len(found) == 10
    assert all(frame["detections"] for frame in found)
