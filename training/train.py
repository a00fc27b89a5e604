"""Train a run: not at all when that is done, on from the last checkpoint after an interruption, anew when stale.

runs/<name>/checkpoints/
    key                 what the weights here depend on; others are stale
    anchors.yaml        where anchors were fitted: those that the weights are of use with
    ckpt-<step>.*       the last few checkpoints, with all that it takes to go on
    best/               the weights with the best mAP on validation, and best.json; these are evaluated and exported
    losses.csv          the losses of every step
    validation.csv      what each validation found
    training.json       on what it ran, with what code, from which data, and what happened
    train/, validation/ for TensorBoard
    trained.json        written last: the training is whole
"""

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vigie.data.balance import class_factors
from vigie.data.fit_anchors import fit_anchors
from vigie.data.prepare import load_manifest
from vigie.data.quiet import quiet_tensorflow
from vigie.errors import BadRun
from vigie.fitted_anchors import FITTED_FILE
from vigie.runs import Run
from vigie.training.losses import LOSSES_FILE
from vigie.training.recording import OnStep
from vigie.training.stale import discard_stale
from vigie.training.usable import check_records
from vigie.whole import write_whole

logger = logging.getLogger(__name__)

TRAINED_FILE = "trained.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that is whole. `seconds` is the time of its last sitting; `losses` has the loss of every step.

    `steps` were made; what counts are the weights of `step`, whose mAP on validation is `best_map`.
    """

    checkpoints: Path
    key: str
    steps: int
    seconds: float
    losses: Path
    step: int
    best_map: float | None = None


def train(run: Run, *, progress: bool = True, on_step: OnStep | None = None) -> Trained:
    """Train the run's experiment on its records.

    A training that is whole returns at once; one that was interrupted goes on from its last checkpoint with the
    pictures that would have come; checkpoints of another experiment or other records are deleted.

    Raises:
        BadData: the records are missing, half-made, of other classes, or hold a picture that cannot be decoded.
        BadSetting: the initial weights are not there or do not fit.
        BadRun: the loss broke down, also at a lower rate; the last good checkpoint is kept.
        Unavailable: no space for a checkpoint; the ones before are kept.
    """
    check_records(run)
    fit_anchors(run)
    key = training_key(run)
    folder = run.checkpoints
    done = _read_trained(folder)
    if done is not None and done.key == key:
        logger.info("already trained: run=%s steps=%d", run.name, done.steps)
        return done
    discard_stale(folder, key, "checkpoints")
    _keep_anchors(run)
    quiet_tensorflow()
    from vigie.training.facts import facts_of  # noqa: PLC0415 - TensorFlow is quiet only when told before its import
    from vigie.training.loop import run_training  # noqa: PLC0415

    begin = time.monotonic()
    factors = list(class_factors(run.records, run.experiment.balance).values())
    outcome = run_training(run, facts_of(run), factors=factors, progress=progress, on_step=on_step)
    seconds = round(time.monotonic() - begin, 1)
    done = Trained(folder, key, outcome.steps, seconds, folder / LOSSES_FILE, outcome.best_step, outcome.best_map)
    if outcome.chief:
        write_whole(folder / TRAINED_FILE, json.dumps(_as_json(done), indent=1))
    return done


def _keep_anchors(run: Run) -> None:
    """Those that were fitted, beside the weights, which are of no use with others."""
    if run.fitted_anchors() is not None:
        write_whole(run.checkpoints / FITTED_FILE, run.anchors_file.read_text(encoding="utf-8"))


def training_key(run: Run) -> str:
    """Names what the weights depend on: the records as they are, the model and the schedule.

    Raises:
        BadData: the records are missing or half-made.
    """
    return run.training_key(run.data_key(load_manifest(run.records).source_hash))


def load_trained(run: Run) -> Trained:
    """The run's training.

    Raises:
        BadRun: it is not whole, or its experiment or records changed since.
    """
    done = _read_trained(run.checkpoints)
    if done is None:
        raise BadRun(f"{run.checkpoints}: holds no whole training; run `make train NAME={run.name}` first")
    if done.key != training_key(run):
        raise BadRun(
            f"{run.checkpoints}: was trained on another experiment or other records than the run has now; "
            f"run `make train NAME={run.name}` again"
        )
    return done


def _read_trained(folder: Path) -> Trained | None:
    path = folder / TRAINED_FILE
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        step, best_map = values.get("step", values["steps"]), values.get("best_map")
        losses = folder / values["losses"]
        return Trained(folder, values["key"], values["steps"], values["seconds"], losses, step, best_map)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRun(f"{path}: cannot be read ({error!r}); delete {folder} and train again") from error


def _as_json(done: Trained) -> dict[str, Any]:
    values = {name: getattr(done, name) for name in ("key", "steps", "seconds", "step", "best_map")}
    return {**values, "losses": done.losses.name}
