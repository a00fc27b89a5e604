"""A training that is killed and goes on is the training that it would have been."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vigie.errors import BadRun, Unavailable
from vigie.runs import Run
from vigie.training.losses import read_losses
from vigie.training.train import load_trained, train

CopyRun = Callable[..., Run]


TRAINS_ON_ONE_THREAD = """
import os, signal, sys
from pathlib import Path
from vigie.data.quiet import quiet_tensorflow

quiet_tensorflow()
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
from vigie.runs import load_run
from vigie.training.train import train

killed_at = int(sys.argv[2])

def die(step, loss):
    if step == killed_at:
        os.kill(os.getpid(), signal.SIGKILL)

train(load_run(Path(sys.argv[1])), progress=False, on_step=die)
"""

SIXTY_STEPS = {
    "training": {
        "steps": 60,
        "batch": 2,
        "checkpoint_every": 20,
        "validate_every": 40,
        "ema_decay": 0.9,
    },
    "augmentation": {"mosaic": 0.3, "colour": 0.5},
}


def started(run: Run, killed_at: int = 0) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-c",
        TRAINS_ON_ONE_THREAD,
        str(run.folder),
        str(killed_at),
    ]
    environment = {**os.environ, "TF_DETERMINISTIC_OPS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def saved(folder: Path, step: int) -> dict[str, Any]:
    """Everything in a checkpoint: weights, moving statistics, Adam's moments, averages, step, the best so far."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder / f"ckpt-{step}"))
    return {
        name: reader.get_tensor(name)
        for name, kind in reader.get_variable_to_dtype_map().items()
        if kind != tf.string  # the graph of the objects
    }


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_very_weights_of_one_that_was_not(
    tiny_run: Run, copied: CopyRun, tmp_path: Path
) -> None:
    uncut = copied(tiny_run, SIXTY_STEPS, folder=tmp_path / "uncut")
    cut = copied(tiny_run, SIXTY_STEPS, folder=tmp_path / "cut")
    running = [started(uncut), started(cut, killed_at=45)]
    ends = [(process.communicate(), process.returncode) for process in running]
    assert [code for _, code in ends] == [0, -signal.SIGKILL], ends
    assert [text for _, texts in ends for text in (texts if isinstance(texts, tuple) else ())] == []
    with pytest.raises(BadRun, match="holds no whole training"):
        load_trained(cut)
    assert len(read_losses(cut.checkpoints / "losses.csv")) >= 45

    again = started(cut)
    texts = again.communicate()
    assert (texts, again.returncode) == (("", ""), 0)
    sittings = json.loads((cut.checkpoints / "training.json").read_text())["sittings"]
    assert [(one["first_step"], one["last_step"]) for one in sittings] == [
        (0, None),
        (40, 60),
    ]
    for name in ("losses.csv", "validation.csv"):
        assert (cut.checkpoints / name).read_text() == (uncut.checkpoints / name).read_text(), name
    ours, theirs = saved(cut.checkpoints, 60), saved(uncut.checkpoints, 60)
    assert ours.keys() == theirs.keys()
    assert any("/m/" in name or "slot" in name.lower() for name in ours)
    for name, value in ours.items():
        assert np.abs(value.astype(np.float64) - theirs[name]).max(initial=0) < 1e-4, name


def test_without_space_for_a_checkpoint_the_training_goes_on_later_from_the_one_before(
    tiny_run: Run, copied: CopyRun
) -> None:
    run = copied(tiny_run, {"training": {"steps": 4, "checkpoint_every": 2, "validate_every": 4}})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(step: int, _loss: float) -> None:
        if step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))

    try:
        with pytest.raises(Unavailable, match=r"cannot be written|no space"):
            train(run, progress=False, on_step=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in run.checkpoints.glob("*.index")) == ["ckpt-0.index", "ckpt-2.index"]
    assert not [path for path in run.checkpoints.rglob("*") if ".saving-" in str(path)]
    steps: list[int] = []
    train(run, progress=False, on_step=lambda step, _loss: steps.append(step))
    assert steps == [3, 4]


def test_ctrl_c_saves_the_step_that_was_made_and_the_same_command_goes_on(tiny_run: Run, copied: CopyRun) -> None:
    run = copied(tiny_run, {"training": {"steps": 4, "checkpoint_every": 100}})

    def press(step: int, _loss: float) -> None:
        if step == 1:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(run, progress=False, on_step=press)
    assert signal.getsignal(signal.SIGINT) is before
    first = read_losses(run.checkpoints / "losses.csv")["total"].tolist()
    steps: list[int] = []
    train(run, progress=False, on_step=lambda step, _loss: steps.append(step))
    losses = read_losses(run.checkpoints / "losses.csv")
    assert steps == list(range(len(first) + 1, 5))
    assert losses["step"].tolist() == [1, 2, 3, 4]
    assert losses["total"].tolist()[: len(first)] == first
