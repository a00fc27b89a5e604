"""The stages run a model as a benchmark chose."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import cv2
import pytest
from onnx_bundle import onnx_bundle
from stream_parts import half

from vigie.arrangement import Entry, Latency, Throughput, save
from vigie.bundle import ONNX, Bundle
from vigie.settings import Settings, load_settings, variables
from vigie.streaming.deploy import worker_programs
from vigie.streaming.run import chosen_model, run_predict
from vigie.streaming.trial import run_trial
from vigie.training.evaluating.measuring import detector_of

pytest.importorskip("openvino", reason="openvino is not installed: install vigie[openvino]")

OPENVINO = "openvino: file=model.onnx precision=f32 threads=1"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> object:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Its own runtime is ONNX Runtime."""
    return onnx_bundle(tmp_path / "models")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With OpenVINO as the chosen one."""
    made = load_settings(root=tmp_path)
    assert made.benchmark_file is not None
    entry = Entry(
        measured_at=datetime(2026, 5, 1, tzinfo=UTC),
        file=ONNX,
        runtime="openvino",
        precision="f32",
        options={"precision": "f32"},
        latency=Latency(threads=1, milliseconds=1),
        throughput=(
            Throughput(processes=4, threads=1, frames_per_s=40),
            Throughput(processes=2, threads=2, frames_per_s=30),
            Throughput(processes=1, threads=4, frames_per_s=20),
        ),
    )
    save(made.benchmark_file, "handmade", entry)
    return made


def predict(settings: Settings, bundle: Bundle, tmp_path: Path, **more: str) -> object:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/one.jpg").write_bytes(half("left"))
    run_predict(settings, bundle.folder, str(tmp_path / "in"), tmp_path / "out", show_progress=False, **more)  # type: ignore[arg-type]
    return json.loads((tmp_path / "out/detections.json").read_text())


def test_predict_runs_what_was_chosen_with_its_threads_and_opencv_with_no_more(
    settings: Settings, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        (frame,) = predict(settings, bundle, tmp_path)  # type: ignore[misc]
    assert OPENVINO in caplog.messages
    assert cv2.getNumThreads() == 1
    assert frame["model"] == "handmade/1"


def test_predict_runs_what_is_named_all_the_same(
    settings: Settings, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        predict(settings, bundle, tmp_path, runtime="onnxruntime")
    assert not [told for told in caplog.messages if "openvino" in told]


def test_a_trial_and_an_evaluation_run_what_was_chosen_for_the_settings_that_they_get(
    settings: Settings, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    source = "synthetic:seed=4,frames=2,width=64,height=64,faces=1"
    with caplog.at_level(logging.INFO):
        run_trial(bundle, source, show_progress=False)
        detector_of(bundle.folder)
        assert OPENVINO not in caplog.messages
        run_trial(bundle, source, settings=settings, show_progress=False)
        detector_of(bundle.folder, settings=settings)
    assert caplog.messages.count(OPENVINO) == 2


@pytest.mark.parametrize(
    ("cameras", "partitions", "expected"),
    [
        (1, 4, {"worker": "1"}),
        (5, 1, {"worker": "1"}),
        (3, 4, {"worker-1": "2", "worker-2": "2"}),
        (9, 4, {"worker-1": "1", "worker-2": "1", "worker-3": "1", "worker-4": "1"}),
    ],
)
def test_as_many_workers_are_started_as_are_fastest_and_find_work(
    cameras: int, partitions: int, expected: dict[str, str], settings: Settings, bundle: Bundle
) -> None:
    found = worker_programs(
        settings, chosen_model(settings.models, model=bundle.folder), cameras=cameras, partitions=partitions
    )
    assert {name: words[words.index("--threads") + 1] for name, words in found.items()} == expected
    members = [words[words.index("--member") + 1] for words in found.values() if "--member" in words]
    assert members == ([] if len(expected) == 1 else list(expected))


def test_a_number_of_workers_in_the_settings_counts_and_the_log_tells_of_those_that_stand_by(
    settings: Settings, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("VIGIE_WORKER__PROCESSES", "3")
    model = chosen_model(settings.models, model=bundle.folder)
    found = worker_programs(load_settings(root=tmp_path), model, cameras=1, partitions=1)
    assert list(found) == ["worker-1", "worker-2", "worker-3"]
    assert "3 workers: those over 1 stand by" in caplog.text
