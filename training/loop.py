"""One sitting of Model Garden's training loop, `run_experiment`, over a run's records.

Imports TensorFlow; `vigie.training.train` is the door, which quietens it first.
"""

import contextlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orbit
import tensorflow as tf
import tf_keras
from official.core import train_lib, train_utils
from official.vision.modeling import backbones, decoders  # noqa: F401 - registers MobileNet and FPN
from official.vision.utils import summary_manager

from vigie.errors import BadSetting
from vigie.experiment import Experiment
from vigie.progress import progress as progress_bar
from vigie.project import project_root
from vigie.training.config import experiment_config
from vigie.training.inputs import TrainingInputs
from vigie.training.labelling import Labeller
from vigie.training.losses import LossHistory
from vigie.training.recording import OnStep, Recorder
from vigie.training.task import DetectorTask

logger = logging.getLogger(__name__)

_ALL_MODULES = "all"
_WITHOUT_HEAD = "backbone,decoder"


class _SavesBeforeEvaluation(orbit.Controller):  # type: ignore[misc]  # Orbit has no types
    """Orbit writes the last checkpoint after the last evaluation: one that fails would take the weights with it."""

    def evaluate(self, steps: int = -1) -> Any:
        self.save_checkpoint()
        return super().evaluate(steps)


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    found = tf.train.latest_checkpoint(str(folder))
    return int(found.rsplit("-", 1)[1]) if found else 0


def run_training(
    experiment: Experiment,
    train_files: Sequence[Path],
    validation_files: Sequence[Path],
    folder: Path,
    losses: Path,
    *,
    factors: Sequence[float],
    progress: bool,
    on_step: OnStep | None,
) -> None:
    """Train from the newest checkpoint in `folder`, or from the start, up to the experiment's steps.

    A training that goes on sees the batches that it would have seen without the interruption. `factors` balance the
    classes, in their order.

    Raises:
        BadSetting: the initial weights are not there or do not fit.
        BadRun: the loss became infinite or no number.
    """
    begin = newest_step(folder)
    schedule = experiment.training
    tf_keras.utils.set_random_seed(schedule.seed)
    params = experiment_config(experiment, train_files, validation_files)
    inputs = TrainingInputs(
        train_files,
        schedule.batch,
        schedule.seed,
        experiment.augmentation,
        experiment.balance,
        factors,
        experiment.model.resize,
    )
    if schedule.init and not begin:
        set_initial_weights(params.task, experiment)
    strategy = tf.distribute.OneDeviceStrategy("/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0")
    labeller = Labeller(experiment.model, experiment.assignment)
    task = DetectorTask(
        params.task,
        kept_steps=params.trainer.steps_per_loop,
        training_batches=lambda: inputs.batches(labeller, first_step=begin),
        logging_dir=str(folder),
    )
    with strategy.scope():
        trainer = train_utils.create_trainer(params, task, train=True, evaluate=True)
    history = LossHistory(losses, resumed_at=begin)
    with progress_bar(total=schedule.steps, initial=begin, description="training", unit="step", show=progress) as bar:
        recorder = Recorder(task.recorded, history, bar, batch=schedule.batch, on_step=on_step)
        # Orbit prints every line that it also logs.
        with contextlib.redirect_stdout(io.StringIO()):
            train_lib.run_experiment(
                strategy,
                task,
                "train_and_eval",
                params,
                str(folder),
                trainer=trainer,
                train_actions=[recorder],
                controller_cls=_SavesBeforeEvaluation,
                eval_summary_manager=summary_manager.maybe_build_eval_summary_manager(params, str(folder)),
            )


def set_initial_weights(task: Any, experiment: Experiment) -> None:
    """Backbone and pyramid, and the head as well when it has the same classes and anchors."""
    named = experiment.training.init or ""
    checkpoint = _initial_checkpoint(project_root() / named, named)
    task.init_checkpoint = str(checkpoint)
    outputs = experiment.model.grid.per_cell * (len(experiment.classes) + 1)
    shapes = tf.train.load_checkpoint(str(checkpoint)).get_variable_to_shape_map()
    same_head = any("_classifier" in name and shape == [outputs] for name, shape in shapes.items())
    task.init_checkpoint_modules = _ALL_MODULES if same_head else _WITHOUT_HEAD
    logger.info("starts from %s, modules %s", checkpoint, task.init_checkpoint_modules)


def _initial_checkpoint(path: Path, named: str) -> Path:
    for folder in (path / "checkpoints", path):
        found = tf.train.latest_checkpoint(str(folder)) if folder.is_dir() else None
        if found:
            return Path(found)
    if path.with_name(path.name + ".index").is_file():
        return path
    what = "holds no checkpoint" if path.exists() else "does not exist"
    raise BadSetting(f"training.init: {named} {what}; name a trained run or a checkpoint folder, or none")
