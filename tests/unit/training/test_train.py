import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from vigie.errors import BadRun, BadSetting
from vigie.machine import multiplies_bfloat16
from vigie.runs import Run
from vigie.training.losses import read_losses, read_validation
from vigie.training.train import load_trained, train, training_key

CopyRun = Callable[..., Run]


class Stop(Exception):
    pass


def test_the_losses_of_every_step_are_kept(trained_run: Run) -> None:
    losses = read_losses(trained_run.checkpoints / "losses.csv")
    assert losses["step"].tolist() == list(range(1, 21))
    assert (losses[["total", "class", "box"]] > 0).all(axis=None)
    assert losses["total"].tolist() == pytest.approx((losses["class"] + losses["box"]).tolist(), rel=1e-3)


def test_a_whole_training_is_not_done_again(trained_run: Run) -> None:
    steps: list[int] = []
    before = {path: path.stat().st_mtime_ns for path in trained_run.checkpoints.rglob("*")}
    done = train(trained_run, progress=False, on_step=lambda step, _loss: steps.append(step))
    assert steps == []
    assert done == load_trained(trained_run)
    assert (done.steps, done.key) == (20, training_key(trained_run))
    assert {path: path.stat().st_mtime_ns for path in trained_run.checkpoints.rglob("*")} == before


def test_each_validation_is_kept_and_the_weights_of_the_best_are_what_counts(
    trained_run: Run,
) -> None:
    from vigie.training.network.model import newest_checkpoint

    found = read_validation(trained_run.checkpoints / "validation.csv")
    assert found["step"].tolist() == [10, 20]
    assert list(found.columns[3:]) == [
        "total",
        "class",
        "box",
        *(f"AP50 {name}" for name in trained_run.experiment.classes),
    ]
    assert (found[["total", "class", "box"]] > 0).all(axis=None)
    best = json.loads((trained_run.checkpoints / "best" / "best.json").read_text())
    row = found.loc[found["mAP"].idxmax()]
    assert best["step"] == row["step"] == load_trained(trained_run).step
    assert best["mAP"] == pytest.approx(row["mAP"], rel=1e-5)
    assert newest_checkpoint(trained_run.checkpoints) == trained_run.checkpoints / "best" / f"ckpt-{best['step']}"
    assert [path.name for path in (trained_run.checkpoints / "best").glob("*.index")] == [f"ckpt-{best['step']}.index"]


def test_what_it_was_trained_on_and_with_stands_beside_the_weights(
    trained_run: Run,
) -> None:
    from vigie.data.manifest import load_manifest

    values = json.loads((trained_run.checkpoints / "training.json").read_text())
    assert values["seeds"] == {"training": 1, "split": 1}
    assert values["data_hash"] == load_manifest(trained_run.records).source_hash
    assert values["experiment_digest"] == trained_run.experiment.digest()
    assert (values["restored"], values["rollbacks"]) == (None, [])
    (sitting,) = values["sittings"]
    assert (sitting["first_step"], sitting["last_step"]) == (0, 20)
    assert sitting["started"] <= sitting["ended"]
    assert sitting["ended"].endswith("+00:00")
    assert sitting["environment"]["packages"].keys() == {
        "tensorflow",
        "tf-keras",
        "tf-models-official",
        "numpy",
    }
    assert sitting["environment"]["precision"] == ("bfloat16_gradients" if multiplies_bfloat16() else "float32")


def test_what_says_that_a_training_is_whole_names_its_key(trained_run: Run) -> None:
    values = json.loads((trained_run.checkpoints / "trained.json").read_text())
    assert values.keys() == {"key", "steps", "seconds", "losses", "step", "best_map"}
    assert math.isfinite(values["seconds"])
    assert (trained_run.checkpoints / values["losses"]).is_file()


def test_tensorboard_is_told_of_every_step_and_validation(trained_run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def events(part: str) -> dict[str, list[Any]]:
        found = EventAccumulator(str(trained_run.checkpoints / part), size_guidance={"tensors": 0})
        found.Reload()
        return {tag: found.Tensors(tag) for tag in found.Tags()["tensors"]}

    training, validation = events("train"), events("validation")
    assert [event.step for event in training["loss/total"]] == list(range(1, 21))
    assert {
        "loss/class",
        "loss/box",
        "learning_rate",
        "pictures_per_second",
    } <= training.keys()
    assert [event.step for event in validation["metrics/mAP"]] == [10, 20]
    assert {
        "loss/total",
        "confusion",
        "precision_recall",
        "pictures",
    } <= validation.keys()


def test_checkpoints_of_another_experiment_are_discarded(
    trained_run: Run, copied: CopyRun, caplog: pytest.LogCaptureFixture
) -> None:
    run = copied(trained_run, {"training": {"learning_rate": 0.001}})
    with pytest.raises(BadRun, match="was trained on another experiment or other records"):
        load_trained(run)
    steps: list[int] = []

    def stop(step: int, _loss: float) -> None:
        steps.append(step)
        raise Stop

    with pytest.raises(Stop):
        train(run, progress=False, on_step=stop)
    assert steps == [1]
    assert "stale checkpoints discarded" in caplog.text
    assert [path.name for path in run.checkpoints.rglob("*.index")] == ["ckpt-0.index"]
    assert not (run.checkpoints / "trained.json").exists()


@pytest.mark.parametrize(
    ("where", "what"),
    [("runs/absent", "does not exist"), ("config", "holds no checkpoint")],
    ids=["absent", "empty"],
)
def test_initial_weights_that_are_not_there_are_named(tiny_run: Run, copied: CopyRun, where: str, what: str) -> None:
    run = copied(tiny_run, {"training": {"init": where}})
    with pytest.raises(BadSetting, match=rf"training\.init: {where} {what}"):
        train(run, progress=False)


def test_a_damaged_record_of_the_training_is_named(trained_run: Run, copied: CopyRun) -> None:
    run = copied(trained_run, {})
    (run.checkpoints / "trained.json").write_text('{"key":')
    with pytest.raises(BadRun, match=r"trained\.json: cannot be read"):
        train(run, progress=False)


def test_patience_ends_a_training_that_gets_no_better(tiny_run: Run, copied: CopyRun) -> None:
    changes = {
        "training": {
            "steps": 40,
            "checkpoint_every": 1,
            "patience": 2,
            "learning_rate": 1e-12,
        }
    }
    run = copied(tiny_run, changes)
    done = train(run, progress=False)
    found = read_validation(run.checkpoints / "validation.csv")
    assert found["step"].tolist() == [1, 2, 3]
    assert (done.steps, done.step) == (3, 1)
    assert yaml.safe_load((run.folder / "experiment.yaml").read_text())["training"]["steps"] == 40
    assert train(run, progress=False) == done
