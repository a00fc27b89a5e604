"""`vigie evaluate`: any model on any data, the same numbers."""

import json
from pathlib import Path
from typing import Any

import other_formats
import pytest
from typer.testing import CliRunner

from vigie.cartoons import LABELS
from vigie.cli import app
from vigie.data.prepare import load_manifest, prepare
from vigie.data.synthetic import write_set
from vigie.experiment import Split
from vigie.runs import Run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(
        tmp_path_factory.mktemp("drawn") / "voc", pictures=8, seed=4, width=160, height=120, progress=False
    )


def measured(model: Path, data: Path, out: Path, *more: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["evaluate", str(model), "--data", str(data), "--out", str(out), *more])
    assert done.exit_code == 0, done.output
    assert f"report: {out / 'report.html'}" in done.output
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.json",
        "pictures.jsonl",
        "precision_recall.png",
        "report.html",
    ]
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def test_a_bundle_is_measured_alike_on_voc_and_coco_and_in_each_runtime(
    tiny_bundle: Path, drawn: Path, tmp_path: Path
) -> None:
    coco = other_formats.as_coco(drawn, tmp_path / "coco", LABELS)
    on_voc = measured(tiny_bundle, drawn, tmp_path / "voc_report")
    assert (on_voc["pictures"], on_voc["boxes"]) == (8, sum(on["count"] for on in on_voc["per_class"].values()))
    assert on_voc["boxes"] > 8
    assert measured(tiny_bundle, coco, tmp_path / "coco_report") == on_voc
    saved_model = measured(tiny_bundle, coco, tmp_path / "other_report", "--runtime", "saved_model")
    assert saved_model["mAP50"] == pytest.approx(on_voc["mAP50"], abs=0.02)
    assert saved_model["boxes"] == on_voc["boxes"]


def test_a_bundle_is_measured_on_the_part_of_records_that_is_named(
    tiny_bundle: Path, drawn: Path, tmp_path: Path
) -> None:
    prepare(drawn, tmp_path / "records", classes=LABELS, split=Split(validation=0.25, test=0.25), progress=False)
    pictures = load_manifest(tmp_path / "records").parts["train"].pictures
    metrics = measured(tiny_bundle, tmp_path / "records", tmp_path / "report", "--part", "train")
    assert metrics["pictures"] == pictures
    assert f"data {tmp_path / 'records'}, train" in (tmp_path / "report" / "report.html").read_text()


def test_the_checkpoint_of_a_run_is_measured_on_its_records(trained_run: Run, tmp_path: Path) -> None:
    metrics = measured(trained_run.folder, trained_run.records, tmp_path / "report")
    assert metrics["pictures"] == load_manifest(trained_run.records).parts["test"].pictures
    assert list(metrics["per_class"]) == list(trained_run.experiment.classes)
    assert metrics["slices"]["size"] is not None
