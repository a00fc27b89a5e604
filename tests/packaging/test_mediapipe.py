"""MediaPipe itself, in an environment of its own, opens the file for phones and finds in it what LiteRT finds.

It brings another OpenCV than ours: the environment stays apart, in pytest's cache.
"""

import ctypes
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import needs
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from vigie.anchors import anchors_yxyx_px
from vigie.bundle import InputSpec
from vigie.data.prepare import read_part
from vigie.decoding import Decoder
from vigie.pictures import Pixels
from vigie.resizing import normalised, stretched
from vigie.runs import Run

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MEDIAPIPE = "mediapipe==1.2.2"
# What it imports to detect objects; with all that it asks for it would bring OpenCV with windows, and sound.
ITS_NEEDS = ("absl-py", "certifi", "flatbuffers", "matplotlib", "numpy", "opencv-python-headless")
SCRIPT = needs.ROOT / "tests" / "mediapipe_finds.py"
THRESHOLD = 0.05
SIZES = [(96, 64), (160, 120), (50, 200), (640, 480)]  # width, height; the first is the input's


@pytest.fixture(scope="session")
def mediapipe_python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its environment's Python; made once a version."""
    for library in ("libEGL.so.1", "libGLESv2.so.2"):
        try:
            ctypes.CDLL(library)
        except OSError:
            needs.missing(f"needs {library}, which MediaPipe loads: apt-get install libegl1 libgles2")
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("mediapipe") if cache else tmp_path_factory.mktemp("mediapipe")
    constraints = needs.ROOT / "constraints.txt"
    asked = "\n".join([MEDIAPIPE, *ITS_NEEDS]).encode() + constraints.read_bytes()
    environment = folder / hashlib.sha256(asked).hexdigest()[:16]
    whole = environment / "whole"
    if not whole.exists():
        shutil.rmtree(folder)  # of other versions, or left unfinished
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        install = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        for more in (["--no-deps", MEDIAPIPE], ["-c", constraints, *ITS_NEEDS]):
            done = subprocess.run([*install, *more], check=False, capture_output=True, text=True)
            if done.returncode:
                needs.missing(f"needs {MEDIAPIPE} from a package index: {done.stderr.strip().splitlines()[-1]}")
        whole.touch()
    return environment / "bin" / "python"


@dataclass(frozen=True)
class Compared:
    """`found` is what MediaPipe found in each picture, `told` what it read in each file."""

    file: Path
    spec: InputSpec
    labels: tuple[str, ...]
    pictures: dict[str, Pixels]
    found: dict[str, list[dict[str, Any]]]
    told: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def compared(untrained_run: Run, mediapipe_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    from vigie.export.files.metadata import add_metadata
    from vigie.export.files.tflite import frozen, write_fp32, write_int8, write_postprocess
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB, raw_model

    folder = tmp_path_factory.mktemp("mediapipe")
    asked, labels = untrained_run.experiment.model, untrained_run.experiment.classes
    spec = InputSpec(width=asked.input_width, height=asked.input_height, mean_rgb=PIXEL_MEAN_RGB, std_rgb=PIXEL_STD_RGB)
    decoder = Decoder(labels, spec.width, spec.height, anchors_yxyx_px(asked.grid, spec.width, spec.height))
    samples = islice(read_part(untrained_run.records, "train"), 12)
    originals = {sample.filename: sample.picture.rgb() for sample in samples}
    pictures = {
        f"{name} {width}x{height}": stretched(rgb, width, height)
        for name, rgb in originals.items()
        for width, height in SIZES
    }
    model = frozen(raw_model(untrained_run.experiment, untrained_run.checkpoints, normalised_input=True), spec)
    write_postprocess(model, folder / "boxes.tflite", spec, decoder)
    write_fp32(model, folder / "fp32.tflite", spec)
    write_int8(
        model, folder / "int8.tflite", spec, [stretched(rgb, spec.width, spec.height) for rgb in originals.values()]
    )
    files = sorted(folder.glob("*.tflite"))
    for file in files:
        add_metadata(file, name="untrained", labels=labels, spec=spec, postprocess=file.stem == "boxes")
    np.savez(folder / "pictures.npz", **pictures)
    done = subprocess.run(
        [mediapipe_python, SCRIPT, folder / "pictures.npz", *files], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    told = {Path(path).stem: one for path, one in seen["told"].items()}
    return Compared(folder / "boxes.tflite", spec, labels, pictures, seen["found"], told)


def resized_as_mediapipe(pixels: Pixels, width: int, height: int) -> Pixels:
    """It stretches the whole picture, corner upon corner, where OpenCV's `resize` goes by the middles of the pixels."""
    rows, columns = pixels.shape[:2]
    corners = [np.array([[0, y], [0, 0], [x, 0], [x, y]], np.float32) for x, y in ((columns, rows), (width, height))]
    return np.asarray(
        cv2.warpPerspective(
            pixels, cv2.getPerspectiveTransform(*corners), (width, height), borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )


def litert_finds(compared: Compared, pixels: Pixels) -> list[dict[str, Any]]:
    """On one thread; boxes are left, top, width and height in pixels of the picture."""
    height, width = pixels.shape[:2]
    runner = Interpreter(model_path=str(compared.file), num_threads=1).get_signature_runner()
    taken = resized_as_mediapipe(pixels, compared.spec.width, compared.spec.height)
    given = runner(pictures=normalised(taken, (127.5,) * 3, (127.5,) * 3)[None])
    boxes, classes, scores = (given[f"detection_{name}"][0] for name in ("boxes", "classes", "scores"))
    found = []
    for box, label, score in zip(boxes * np.tile([height, width], 2), classes, scores, strict=True):
        top, left, bottom, right = (float(edge) for edge in box)
        if score >= THRESHOLD:
            # MediaPipe clips corner and size each for itself.
            sides = [max(left, 0.0), max(top, 0.0), min(right - left, width), min(bottom - top, height)]
            found.append({"label": compared.labels[int(label)], "score": float(score), "box": sides})
    return found


def same(one: dict[str, Any], other: dict[str, Any], *, pixels: float, score: float) -> bool:
    return (
        one["label"] == other["label"]
        and abs(one["score"] - other["score"]) <= score
        and bool(np.abs(np.subtract(one["box"], other["box"])).max() <= pixels)
    )


@pytest.mark.parametrize("size", SIZES)
def test_mediapipe_finds_what_litert_finds(compared: Compared, size: tuple[int, int]) -> None:
    pictures = {name: pixels for name, pixels in compared.pictures.items() if pixels.shape[1::-1] == size}
    assert len(pictures) == 12
    a_pixel = max(1.0, size[0] / compared.spec.width, size[1] / compared.spec.height)  # of the input, or cut off
    for name, pixels in pictures.items():
        expected, found = litert_finds(compared, pixels), compared.found[name]
        assert len(expected) > 10
        missing = [one for one in expected if not any(same(one, other, pixels=a_pixel, score=1e-3) for other in found)]
        assert (missing, len(found)) == ([], len(expected)), name


def test_every_label_was_found(compared: Compared) -> None:
    assert {one["label"] for found in compared.found.values() for one in found} == set(compared.labels)


def test_its_own_reader_finds_every_fact_in_the_file_with_boxes(compared: Compared) -> None:
    told = compared.told["boxes"]
    assert told["outputs"] == ["location", "category", "score", "number of detections"]
    assert told["groups"] == {"detection_result": ["location", "category", "score"]}
    assert told["labelled"] == {"category": [["labels.txt", 3]]}
    assert (told["mean"], told["std"]) == ([127.5] * 3, [127.5] * 3)
    assert (told["lowest"], told["highest"]) == ([-1.0] * 3, [1.0] * 3)


@pytest.mark.parametrize("file", ["boxes", "fp32", "int8"])
def test_its_own_reader_finds_size_and_labels_in_every_file(compared: Compared, file: str) -> None:
    told = compared.told[file]
    assert told["name"] == "untrained"
    assert told["size"] == [compared.spec.width, compared.spec.height]
    assert told["packed"] == {"labels.txt": "".join(f"{label}\n" for label in compared.labels)}


@pytest.mark.parametrize("file", ["fp32", "int8"])
def test_its_own_reader_finds_what_raw_heads_are(compared: Compared, file: str) -> None:
    told = compared.told[file]
    assert sorted(told["outputs"]) == ["raw_boxes", "scores"]
    assert told["labelled"] == {"scores": [["labels.txt", 2]]}
    assert told["mean"] == pytest.approx(compared.spec.mean_rgb)
    assert told["std"] == pytest.approx(compared.spec.std_rgb)
