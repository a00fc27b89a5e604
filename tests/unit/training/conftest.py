"""One tiny training for all tests here: a few small cartoons, 20 steps, about 20 s."""

import shutil
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from vigie.cartoons import LABELS
from vigie.data.prepare import prepare
from vigie.data.synthetic import write_set
from vigie.runs import Run, load_run, open_run
from vigie.training.train import train

TINY: dict[str, Any] = {
    "name": "tiny",
    "classes": list(LABELS),
    "model": {"input_width": 96, "input_height": 64, "backbone_width": 0.35, "fpn_filters": 16, "head_convs": 1},
    "training": {"steps": 20, "batch": 4, "warmup_steps": 2, "checkpoint_every": 10},
}


class EditRun(Protocol):
    def __call__(self, run: Run, changes: dict[str, Any], folder: Path | None = None) -> Run: ...


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Prepared, not trained."""
    folder = tmp_path_factory.mktemp("training")
    pictures = write_set(folder / "voc", pictures=48, seed=3, width=96, height=72, progress=False)
    experiment = folder / "tiny.yaml"
    experiment.write_text(yaml.safe_dump(TINY))
    run = open_run(folder / "tiny", experiment=experiment, voc=pictures)
    prepare(
        run.pictures,
        run.records,
        classes=run.experiment.classes,
        split=run.experiment.split,
        progress=False,
    )
    return run


@pytest.fixture(scope="session")
def trained_run(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("trained") / tiny_run.name
    shutil.copytree(tiny_run.folder, folder)
    run = load_run(folder)
    train(run, progress=False)
    return run


@pytest.fixture
def copied(tmp_path: Path) -> EditRun:
    """Copy a run and change sections of its experiment."""

    def copy(run: Run, changes: dict[str, Any], folder: Path | None = None) -> Run:
        folder = folder or tmp_path / run.name
        shutil.copytree(run.folder, folder)
        values = yaml.safe_load((folder / "experiment.yaml").read_text())
        for section, changed in changes.items():
            values[section] = {**values[section], **changed}
        (folder / "experiment.yaml").write_text(yaml.safe_dump(values))
        return load_run(folder)

    return copy
