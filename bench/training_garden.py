"""Model Garden's side of `training.py`: `run_experiment` on a run's records, with the run's numbers."""

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras
from official.core import config_definitions, train_lib
from official.modeling import optimization
from official.vision.configs import retinanet
from official.vision.modeling import backbones, decoders  # noqa: F401 - registers MobileNet and FPN
from official.vision.tasks.retinanet import RetinaNetTask
from turns import Child

from vigie.data.prepare import part_files
from vigie.runs import Run, load_run
from vigie.training.inputs import TrainingInputs
from vigie.training.labelling import Labeller
from vigie.training.network.config import task_config
from vigie.training.optimizing import WARMUP_START


class Task(RetinaNetTask):  # type: ignore[misc]
    """All that is not Model Garden's is the weights that it begins with."""

    weights: Path

    def initialize(self, model: tf_keras.Model) -> None:
        # It has a layer more after the backbone's last level, which the loss never sees and our network leaves out.
        tf.train.Checkpoint(model=model).read(str(self.weights)).expect_partial()


class OnOurBatches(Task):
    """On the batches that our loop takes; keeps the loss of each step."""

    run: Run

    def build_inputs(self, params: Any, input_context: tf.distribute.InputContext | None = None) -> tf.data.Dataset:
        experiment = self.run.experiment
        inputs = TrainingInputs(
            part_files(self.run.records, "train"),
            params.global_batch_size,
            experiment.training.seed,
            experiment.augmentation,
            experiment.balance,
            [1.0] * len(experiment.classes),
            experiment.model.resize,
        )
        return inputs.batches(Labeller(experiment.model, experiment.assignment), context=input_context)

    def build_model(self) -> tf_keras.Model:
        self.losses = tf.Variable(tf.zeros(self.run.experiment.training.steps), trainable=False)
        self._at = tf.Variable(0, trainable=False)
        return super().build_model()

    def build_losses(self, *arguments: Any, **named: Any) -> Any:
        losses = super().build_losses(*arguments, **named)
        self.losses.scatter_update(tf.IndexedSlices(losses[0][None], self._at[None]))
        self._at.assign_add(1)
        return losses


def experiment_config(run: Run, loop: int) -> config_definitions.ExperimentConfig:
    schedule, augmentation = run.experiment.training, run.experiment.augmentation
    task = task_config(run.experiment)
    task.model.decoder.fpn.use_keras_layer = False  # its default
    task.train_data = retinanet.DataConfig(
        input_path=[str(path) for path in part_files(run.records, "train")],
        is_training=True,
        global_batch_size=schedule.batch,
        dtype="float32",
        parser=retinanet.Parser(
            pad=False,
            keep_aspect_ratio=False,
            aug_rand_hflip=True,
            aug_scale_min=augmentation.scale_min,
            aug_scale_max=augmentation.scale_max,
        ),
    )
    cosine = {"initial_learning_rate": schedule.learning_rate, "decay_steps": schedule.steps}
    linear = {
        "warmup_steps": schedule.warmup_steps,
        "warmup_learning_rate": schedule.learning_rate * WARMUP_START,
    }
    optimizer = optimization.OptimizationConfig(
        {
            "optimizer": {"type": "adam", "adam": {}},
            "learning_rate": {"type": "cosine", "cosine": cosine},
            "warmup": {"type": "linear", "linear": linear},
        }
    )
    trainer = config_definitions.TrainerConfig(
        optimizer_config=optimizer,
        train_steps=schedule.steps,
        steps_per_loop=loop,
        summary_interval=loop,
        checkpoint_interval=schedule.steps,
    )
    return config_definitions.ExperimentConfig(task=task, trainer=trainer)


def train(task: Task, params: config_definitions.ExperimentConfig, after_loop: Callable[[Any], None]) -> None:
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with tempfile.TemporaryDirectory() as logs:
        train_lib.run_experiment(strategy, task, "train", params, logs, train_actions=[after_loop])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=("speed", "our_batches"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("turn", type=int)
    given = parser.parse_args()
    of_run = load_run(given.folder)
    child = Child(turn=given.turn, steps=of_run.experiment.training.steps)
    config = experiment_config(of_run, given.turn)
    made = itertools.count(given.turn, given.turn)
    kind = Task if given.work == "speed" else OnOurBatches
    its_task = kind(config.task)
    its_task.weights, its_task.run = given.weights, of_run
    if given.work == "speed":
        train(its_task, config, lambda _output: child.after(next(made)))
        child.tell({})
    else:
        train(its_task, config, lambda _output: None)
        child.tell({"losses": [float(loss) for loss in its_task.losses.numpy()]})
