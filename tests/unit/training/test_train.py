import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from vigie.errors import BadRun, BadSetting
from vigie.runs import Run
from vigie.training.losses import read_losses
from vigie.training.train import load_trained, train, training_key

CopyRun = Callable[[Run, dict[str, Any]], Run]


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


KILLS_ITSELF = """
import os, signal, sys
from pathlib import Path
from vigie.runs import load_run
from vigie.training.train import train

def die(step, loss):
    if step == 15:
        os.kill(os.getpid(), signal.SIGKILL)

train(load_run(Path(sys.argv[1])), progress=False, on_step=die)
"""


def test_a_killed_training_goes_on_from_its_last_checkpoint_and_says_nothing_of_tensorflow(
    tiny_run: Run, copied: CopyRun
) -> None:
    run = copied(tiny_run, {"training": {"seed": 2}})
    killed = subprocess.run(
        [sys.executable, "-c", KILLS_ITSELF, str(run.folder)], check=False, capture_output=True, text=True
    )
    assert (killed.returncode, killed.stdout, killed.stderr) == (-9, "", "")
    assert not (run.checkpoints / "trained.json").exists()
    with pytest.raises(BadRun, match="holds no whole training"):
        load_trained(run)
    first = (run.checkpoints / "losses.csv").read_text().splitlines()
    assert len(first) == 1 + 20  # the header and two loops, of which the second has no checkpoint

    steps: list[int] = []
    done = train(run, progress=False, on_step=lambda step, _loss: steps.append(step))
    assert steps == list(range(11, 21))
    assert done == load_trained(run)
    again = (run.checkpoints / "losses.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in again] == [line.split(",")[0] for line in first]
    losses = read_losses(run.checkpoints / "losses.csv")
    before = [float(line.split(",")[1]) for line in first[1:]]
    assert losses["total"].head(10).tolist() == pytest.approx(before[:10])
    # The same batches as before the interruption, so the same losses; sums on several cores round differently.
    assert losses["total"].tail(10).tolist() == pytest.approx(before[10:], rel=0.02)


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
    assert list(run.checkpoints.glob("ckpt-*")) == []
    assert not (run.checkpoints / "trained.json").exists()


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_saved(tiny_run: Run, copied: CopyRun) -> None:
    run = copied(tiny_run, {"training": {"learning_rate": 1e30, "warmup_steps": 0}})
    with pytest.raises(BadRun, match=r"^step \d+: the loss is (nan|inf).*lower training\.learning_rate"):
        train(run, progress=False)
    assert list(run.checkpoints.glob("ckpt-*")) == []


@pytest.mark.parametrize(
    ("where", "what"), [("runs/absent", "does not exist"), ("config", "holds no checkpoint")], ids=["absent", "empty"]
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


def test_tensorboard_has_scalars_and_pictures_with_boxes(trained_run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def events(part: str) -> dict[str, list[Any]]:
        found = EventAccumulator(str(trained_run.checkpoints / part), size_guidance={"tensors": 0})
        found.Reload()
        return {tag: found.Tensors(tag) for tag in found.Tags()["tensors"]}

    training, validation = events("train"), events("validation")
    assert [event.step for event in training["total_loss"]] == [10, 20]
    assert {"cls_loss", "box_loss", "learning_rate"} <= training.keys()
    assert [event.step for event in validation["AP50"]] == [10, 20]
    assert {"AP", "AP75", "validation_loss"} <= validation.keys()
    pictures = [events[-1] for tag, events in validation.items() if tag.startswith("image/")]
    assert pictures
    width, height, png = pictures[0].tensor_proto.string_val
    assert (width, height, png[:4]) == (b"96", b"64", b"\x89PNG")


def test_what_says_that_a_training_is_whole_names_its_key(trained_run: Run) -> None:
    values = json.loads((trained_run.checkpoints / "trained.json").read_text())
    assert values.keys() == {"key", "steps", "seconds", "losses"}
    assert math.isfinite(values["seconds"])
    assert (trained_run.checkpoints / values["losses"]).is_file()
