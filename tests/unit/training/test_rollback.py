"""A loss that breaks down: back to the last good checkpoint, with less of the learning rate, and whose fault it was."""

import json
from collections.abc import Callable

import pytest

from vigie.data.prepare import part_files
from vigie.errors import BadRun
from vigie.runs import Run
from vigie.training.losses import read_losses
from vigie.training.train import train

CopyRun = Callable[..., Run]


def rollbacks(run: Run) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((run.checkpoints / "training.json").read_text())["rollbacks"]
    return found


def test_a_rate_that_is_too_high_is_halved_until_the_training_holds(tiny_run: Run, copied: CopyRun) -> None:
    training = {
        "steps": 6,
        "checkpoint_every": 3,
        "learning_rate": 4.0,
        "warmup_steps": 0,
        "rollbacks": 30,
    }
    run = copied(tiny_run, {"training": training})
    train(run, progress=False)
    found = rollbacks(run)
    factors = [one["rate_factor"] for one in found]
    assert len(found) > 1
    assert factors == [0.5**number for number in range(1, len(found) + 1)]
    assert {one["back_to"] for one in found} <= {0, 3}
    losses = read_losses(run.checkpoints / "losses.csv")
    assert losses["step"].tolist() == list(range(1, 7))
    assert (losses["total"] < 1000).all()


def test_pictures_that_break_the_loss_at_any_rate_are_named(
    tiny_run: Run, copied: CopyRun, caplog: pytest.LogCaptureFixture
) -> None:
    from vigie.training.facts import facts_of
    from vigie.training.inputs import TrainingInputs
    from vigie.training.loop import run_training
    from vigie.training.turns import names

    balance = {"method": "class_weights"}
    run = copied(tiny_run, {"training": {"steps": 6, "rollbacks": 1}, "balance": balance})
    run.checkpoints.mkdir()
    with pytest.raises(BadRun) as caught:
        run_training(run, facts_of(run), factors=[1, 1, 1e30], progress=False, on_step=None)
    first, last = rollbacks(run)
    experiment = run.experiment
    schedule = experiment.training
    inputs = TrainingInputs(
        part_files(run.records, "train"), schedule.batch, schedule.seed, experiment.augmentation, experiment.balance,
        [1, 1, 1e30], experiment.model.resize,
    )  # fmt: skip
    pictures = names(inputs, int(str(first["step"])))
    assert len(pictures) == 4
    assert (first["back_to"], first["rate_factor"], first["pictures"]) == (
        0,
        0.5,
        pictures,
    )
    assert (last["back_to"], last["rate_factor"], last["pictures"]) == (
        None,
        None,
        pictures,
    )
    assert str(caught.value).startswith(f"step {first['step']}: the loss is ")
    assert ", ".join(pictures) in str(caught.value)
    assert ", ".join(pictures) in caplog.text
    assert (run.checkpoints / "ckpt-0.index").is_file()
