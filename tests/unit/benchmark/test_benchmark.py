"""Real measurements, of hundredths of a second, in real processes."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from onnx_bundle import onnx_bundle
from stream_parts import half
from typer.testing import CliRunner

from vigie.arrangement import arranged, read_saved, usable_cores
from vigie.benchmark.candidates import Candidate, candidates_of
from vigie.benchmark.choosing import arrangements, thread_counts
from vigie.benchmark.cli import benchmark_command
from vigie.benchmark.measuring import benchmark
from vigie.benchmark.side import CandidateFailed, Side
from vigie.bundle import FP16, FP32, INT8, ONNX, POSTPROCESS, SAVED_MODEL, Bundle, FileEntry, open_bundle
from vigie.errors import BadBundle, BadData, BadPicture, BadSetting
from vigie.settings import load_settings

SHORT = 0.05
THREADS = thread_counts(usable_cores())

app = typer.Typer()
app.command()(benchmark_command)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_bundle(tmp_path_factory.mktemp("models")).folder


@pytest.fixture
def lite(tiny_bundle: Path, tmp_path: Path) -> Path:
    """With its LiteRT file alone, which is loaded in no time."""
    folder = tmp_path / "tiny/1"
    shutil.copytree(tiny_bundle, folder)
    told = json.loads((folder / "manifest.json").read_text())
    told["files"] = {name: entry for name, entry in told["files"].items() if name in (FP32, "labels.txt")}
    (folder / "manifest.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "half.jpg"
    path.write_bytes(half("left", width=320, height=240))
    return path


def said(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def absent(package: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the processes that are started from now on."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text(f"raise ModuleNotFoundError('none', name={package!r})")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def test_every_file_is_a_candidate_of_each_runtime_that_runs_it_here(tiny_bundle: Path) -> None:
    opened = open_bundle(tiny_bundle)
    entry = FileEntry(sha256="0" * 64, bytes=1)
    files = dict.fromkeys((FP32, FP16, INT8, POSTPROCESS, ONNX, SAVED_MODEL, "labels.txt", "README.txt"), entry)
    bundle = Bundle(tiny_bundle, opened.manifest.model_copy(update={"files": files}))
    found = [(one.file, one.runtime, one.precision, one.deployable) for one in candidates_of(tiny_bundle, bundle)]
    assert found[0] == (FP32, "tflite", "f32", True)
    assert sorted(found[1:], key=str) == sorted(
        [
            (FP16, "tflite", "f32", True),
            (INT8, "tflite", "int8", True),
            (POSTPROCESS, "tflite", "f32", False),
            (SAVED_MODEL, "saved_model", "f32", True),
            (ONNX, "onnxruntime", "f32", True),
            (ONNX, "openvino", "f32", True),
            (ONNX, "openvino", "reduced", True),
        ],
        key=str,
    )


def test_each_runtime_is_measured_and_the_fastest_of_the_default_files_precision_is_saved_and_used(
    models: Path, tmp_path: Path
) -> None:
    config = tmp_path / "vigie.yaml"
    config.write_text("models: models\n")
    told: dict[str, Any] = json.loads(said(models, "--seconds", SHORT, "--config", config, "--save", "--json"))

    timed = {(one["runtime"], one["options"].get("precision"), one["threads"]) for one in told["timings"]}
    assert {("onnxruntime", None, count) for count in THREADS} <= timed
    assert {("openvino", "f32", count) for count in THREADS} <= timed
    assert all(0 < one["median_ms"] <= one["p95_ms"] and one["pictures"] >= 3 for one in told["timings"])
    assert "openvino bf16" in " ".join(told["not_measured"]) or any(one[1] == "bf16" for one in timed)

    chosen = told["chosen"]
    rates = [one for one in told["rates"] if one["precision"] == "f32"]
    own = [one for one in rates if one["runtime"] == chosen["runtime"]]
    assert (chosen["file"], chosen["precision"]) == (ONNX, "f32")
    fastest = max(one["frames_per_s"] for one in own)
    assert fastest == max(one["frames_per_s"] for one in rates)
    assert chosen["throughput"][0]["frames_per_s"] == round(fastest, 2)
    assert {(one["processes"], one["threads"]) for one in chosen["throughput"]} == set(arrangements(usable_cores()))
    quickest = min(
        (one for one in told["timings"] if (one["runtime"], one["precision"]) == (chosen["runtime"], "f32")),
        key=lambda one: float(one["median_ms"]),
    )
    assert chosen["latency"]["threads"] == quickest["threads"]

    saved = read_saved(tmp_path / "benchmark.yaml")
    assert saved is not None
    assert (
        saved.models["handmade"].model_dump(mode="json")
        == yaml.safe_load((tmp_path / "benchmark.yaml").read_text())["models"]["handmade"]
    )
    how = arranged(load_settings(config), models)
    assert (how.runtime, how.threads, how.options) == (chosen["runtime"], quickest["threads"], chosen["options"])
    assert how.detector().labels == ("cat", "dog")


def test_the_table_tells_what_was_measured_chosen_and_left_out(
    models: Path, tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent("openvino", tmp_path / "broken", monkeypatch)
    text = said(models, "--seconds", SHORT, "--picture", picture, "--for", "latency")
    assert "handmade, 96x64 on " in text
    assert "1 pictures of 320x240" in text
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("*  ")] == [
        ["*", ONNX, "onnxruntime"]
    ] * 2
    assert f"{ONNX}: openvino f32: the detector 'openvino' needs the package 'openvino'" in text
    assert "pip install openvino" in text
    assert f"chosen: {ONNX}: onnxruntime: the fastest in f32" in text


def test_a_precision_that_nothing_here_has_is_an_error_that_names_those_that_there_are(
    lite: Path, picture: Path
) -> None:
    with pytest.raises(BadSetting, match="in the precision int8, there are: f32"):
        benchmark(lite, seconds=SHORT, picture=picture, precision="int8", progress=False)


def test_a_model_that_nothing_here_runs_is_an_error_that_says_why(
    lite: Path, tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent("ai_edge_litert", tmp_path / "broken", monkeypatch)
    with pytest.raises(BadBundle, match=r"no runtime here runs it: .*pip install ai_edge_litert"):
        benchmark(lite, seconds=SHORT, picture=picture, progress=False)


def test_without_a_picture_the_models_own_are_looked_at_or_drawn_ones(lite: Path) -> None:
    drawn = benchmark(lite, seconds=SHORT, progress=False)
    assert drawn.pictures == "12 pictures of 640x480"
    (lite / "trial").mkdir()
    for number, width in enumerate((64, 320)):
        (lite / f"trial/{number}.jpg").write_bytes(half("right", width=width))
    told = json.loads((lite / "manifest.json").read_text())
    (lite / "manifest.json").write_text(json.dumps({**told, "trial_source": "trial"}))
    assert benchmark(lite, seconds=SHORT, progress=False).pictures == "2 pictures of 64x48 to 320x48"


def test_pictures_that_are_none_are_told_before_anything_is_measured(lite: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="holds no pictures"):
        benchmark(lite, picture=tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"garbage")
    with pytest.raises(BadPicture, match=r"bad\.jpg: not a picture"):
        benchmark(lite, picture=tmp_path)


def test_a_process_that_dies_is_told_with_its_last_words(lite: Path, picture: Path) -> None:
    with Side(lite, Candidate("tflite", FP32, "f32"), [picture]) as side:
        side.ask("load", threads=1)
        side.hear()
        side.ask("sing")
        with pytest.raises(CandidateFailed, match="its process ended with 1: AttributeError"):
            side.hear()


def test_a_process_that_hangs_is_not_waited_for_and_leaves_with_the_side(lite: Path, picture: Path) -> None:
    with Side(lite, Candidate("tflite", FP32, "f32"), [picture]) as side:
        side.ask("load", threads=1)
        side.hear()
        side.ask("times", threads=1, seconds=600)
        with pytest.raises(CandidateFailed, match="not answered in time"):
            side.hear(0.2)
    assert side._process.returncode is not None


@pytest.mark.slow
def test_tensorflow_which_takes_its_threads_once_is_measured_with_each_number_of_them(
    tiny_bundle: Path, picture: Path
) -> None:
    found = benchmark(tiny_bundle, seconds=SHORT, picture=picture, progress=False)
    assert {(one.candidate.runtime, one.threads) for one in found.timings} == {
        (runtime, count) for runtime in ("tflite", "saved_model") for count in THREADS
    }
    assert found.failed == {}
    assert found.chosen.candidate.file == FP32
