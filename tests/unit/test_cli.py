"""The commands, one after the other, as a person without notebooks uses them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vigie.experiment import load_experiment

SMALL = """
name: small
classes: [with_mask, without_mask, mask_weared_incorrect]
model: {input_width: 96, input_height: 96, backbone_width: 0.35, fpn_filters: 16, head_convs: 1}
training: {steps: 4, batch: 4, checkpoint_every: 2, warmup_steps: 2}
"""


def vigie(*words: object, code: int | None = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "vigie", *(str(word) for word in words)], capture_output=True, text=True, check=False
    )
    assert code in (None, done.returncode), done.stderr[-2000:]
    return done


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_pictures_become_a_bundle_and_its_detections_by_commands_alone(tmp_path: Path) -> None:
    experiment = tmp_path / "small.yaml"
    experiment.write_text(SMALL)
    faces, records, run, models = (tmp_path / name for name in ("faces", "records", "run", "models"))
    vigie("data", "synth", faces, "--pictures", 24, "--seed", 5)
    prepared = vigie("data", "prepare", faces, "--experiment", experiment, "--out", records, "--json")
    assert json.loads(prepared.stdout)["parts"].keys() == {"train", "validation", "test"}
    vigie("train", "--experiment", experiment, "--data", records, "--out", run)
    report = vigie("evaluate", run, "--data", records, "--out", tmp_path / "report", "--json")
    assert json.loads(report.stdout) == json.loads((tmp_path / "report" / "metrics.json").read_text())
    # What has hardly learnt scores all anchors alike: which of them are the best is chance, and a file may be refused.
    exported = vigie("export", run, "--out", models / "small", "--no-qat", code=None)
    assert f"bundle: {models / 'small' / '1'}" in exported.stdout
    assert exported.returncode == (": refused: " in exported.stderr)
    by_voc = vigie("evaluate", models / "small", "--data", faces, "--out", tmp_path / "report2", "--json")
    assert json.loads(by_voc.stdout)["pictures"] == 24
    vigie("predict", models / "small", faces / "images", "--out", tmp_path / "found")
    frames = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert len(frames) == 24
    assert {path.suffix for path in (tmp_path / "found").iterdir()} == {".jpg", ".json"}


def test_an_experiment_is_proposed_printed_or_written_and_never_over_another(tmp_path: Path) -> None:
    faces, out = tmp_path / "faces", tmp_path / "proposed.yaml"
    vigie("data", "synth", faces, "--pictures", 12, "--seed", 5)
    printed = vigie("data", "propose", faces)
    assert "\n# the labels found on 12 pictures" in printed.stdout
    assert vigie("data", "propose", faces, "--out", out).stdout == f"experiment: {out}\n"
    assert out.read_text() == printed.stdout
    assert "is there already" in vigie("data", "propose", faces, "--out", out, code=1).stderr
    vigie("data", "prepare", faces, "--experiment", out, "--out", tmp_path / "records")


@pytest.mark.timeout(200)
def test_pictures_that_nobody_prepared_become_a_run_in_one_command_from_where_a_person_stands(tmp_path: Path) -> None:
    vigie("data", "synth", tmp_path / "my faces", "--pictures", 12, "--seed", 5)
    made = subprocess.run(
        [sys.executable, "-m", "vigie", "make", "data", "--voc", "my faces"],
        env={**os.environ, "VIGIE_RUNS": str(tmp_path / "runs")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    run = tmp_path / "runs" / "my-faces"
    assert f"run: {run}\nexecuted: 01_data" in made.stdout
    assert "proposed classes: the labels found on 12 pictures" in made.stderr
    assert (run / "experiment.yaml").read_text().startswith("# Proposed from the pictures")
    assert (run / "data" / "manifest.json").is_file()


def test_a_pipeline_config_becomes_an_experiment_and_what_has_no_counterpart_is_told(tmp_path: Path) -> None:
    config, out = tmp_path / "pipeline.config", tmp_path / "mine.yaml"
    config.write_text(
        'model { ssd { num_classes: 1 image_resizer { fixed_shape_resizer { height: 320 width: 320 } } '
        'feature_extractor { type: "ssd_mobilenet_v2_fpn_keras" use_depthwise: true } '
        'post_processing { batch_non_max_suppression { iou_threshold: 0.6 } } } } '
        'train_config { batch_size: 4 num_steps: 9 } '
        'train_input_reader { label_map_path: "map.pbtxt" }'
    )  # fmt: skip
    (tmp_path / "map.pbtxt").write_text("item { id: 1 name: 'face' }")
    told = vigie("train-config", config, "--out", out).stdout
    assert "batch_non_max_suppression.iou_threshold (line 1): 0.6" in told
    assert load_experiment(out).training.steps == 9
    assert "is there already" in vigie("train-config", config, "--out", out, code=1).stderr


@pytest.mark.timeout(200)
def test_whether_a_model_learns_by_heart_is_asked_for_without_a_run(tmp_path: Path) -> None:
    experiment, records = tmp_path / "small.yaml", tmp_path / "records"
    experiment.write_text(SMALL)
    vigie("data", "synth", tmp_path / "faces", "--pictures", 12, "--seed", 5)
    vigie("data", "prepare", tmp_path / "faces", "--experiment", experiment, "--out", records)
    options = ("--experiment", experiment, "--data", records)
    assert "--out: names the run" in vigie("train", *options, code=1).stderr
    assert str(records) in vigie("train", *options, "--overfit", 100, code=1).stderr


def test_an_error_that_a_person_can_mend_is_one_line_on_standard_error(tmp_path: Path) -> None:
    failed = vigie("predict", tmp_path / "none", tmp_path, "--out", tmp_path / "out", code=1)
    assert failed.stdout == ""
    assert failed.stderr.splitlines() == [
        f"vigie: {tmp_path / 'none'}: there is no such model bundle; make one with `make export`"
    ]


def test_a_package_that_is_not_installed_is_named_with_what_brings_it(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("raise ModuleNotFoundError('pandas', name='pandas')")
    failed = subprocess.run(
        [sys.executable, "-m", "vigie", "evaluate", "models", "--data", "faces", "--out", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "needs the package 'pandas'" in failed.stderr
    assert "vigie[train]" in failed.stderr


def test_who_interrupts_is_told_that_the_same_command_goes_on(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    started = subprocess.Popen(
        [sys.executable, "-m", "vigie", "data", "synth", str(faces), "--pictures", "100000"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    assert "Drawing pictures" in started.stderr.read(20)
    started.send_signal(signal.SIGINT)
    told = started.stderr.read()
    assert started.wait(timeout=60) == 130
    assert told.endswith("\nvigie: interrupted; the same command goes on where it stood\n")
    assert not faces.exists()
