"""A few hundred more steps of a training, at a low rate, with the rounding of the int8 file in them.

A folder holds what it takes to go on after an interruption:
    key             what the weights here depend on; others are stale
    ckpt-<step>.*   the last few checkpoints
    best/           the weights and ranges that are best on validation, and best.json
"""

import logging
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from vigie.anchors import Boxes
from vigie.data.balance import class_factors, rarity
from vigie.data.prepare import part_files, read_part
from vigie.decoding import Scores
from vigie.experiment import Schedule
from vigie.export.quantisation.equalising import equalise
from vigie.export.quantisation.ranges import RangedNetwork
from vigie.export.quantisation.rounded_model import RoundedModel
from vigie.export.quantisation.simulated import BOXES, CLASSES, SimulatedNetwork, traced_heads
from vigie.progress import progress as progress_bar
from vigie.raw_heads import RawHeadsDetector
from vigie.runs import Run
from vigie.training.best import BestSoFar, keep_best
from vigie.training.checkpoints import Checkpoints, NotFinite, clear_unfinished
from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD, Evaluation, evaluate
from vigie.training.guard import all_finite
from vigie.training.inputs import TrainingInputs
from vigie.training.interruption import Interruption
from vigie.training.labelling import Labeller
from vigie.training.network.config import decoder
from vigie.training.network.model import (
    BEST_FOLDER,
    PIXEL_MEAN_RGB,
    PIXEL_STD_RGB,
    RAW_BOXES,
    SCORES,
    newest_checkpoint,
    raw_outputs,
    restored_network,
)
from vigie.training.objective import Objective
from vigie.training.optimizing import Optimizer
from vigie.training.step import TrainStep
from vigie.training.train import Trained

logger = logging.getLogger(__name__)

_RATE = 0.05
"""Of the training's own peak: rounding is a small change to get used to, and the weights are good already."""
_VALIDATIONS = 4
_CALIBRATION_BATCHES = 12
_LOOP_STEPS = 5  # between two looks at whether somebody wants an end
_BATCH = 8


class FineTuning:
    """Begins where the folder's newest checkpoint ends, or at the run's best weights."""

    def __init__(self, run: Run, trained: Trained, steps: int, folder: Path, *, progress: bool) -> None:
        self._run, self._trained, self._steps, self._folder = run, trained, steps, folder
        experiment = run.experiment
        spec = experiment.model
        clear_unfinished(folder)
        tf_keras.utils.set_random_seed(experiment.training.seed)
        self._network = restored_network(experiment, trained.checkpoints)
        self._traced = traced_heads(self._network, spec.input_height, spec.input_width)
        self._simulated = SimulatedNetwork(self._traced)
        self._ranged = RangedNetwork(self._simulated, *_pixel_range())
        self._schedule = _schedule(experiment.training, steps)
        self._optimizer = Optimizer(self._network, self._schedule)
        self._best = BestSoFar()
        self._state = tf.train.Checkpoint(model=self._network, ranged=self._ranged)
        saved = tf.train.Checkpoint(state=self._state, optimizer=self._optimizer, best=self._best)
        self._checkpoints = Checkpoints(folder, saved)
        self._train_step = TrainStep(self._ranged, Objective(experiment), self._optimizer, tf.distribute.get_strategy())
        self._detector = self._simulated_detector()
        if self._checkpoints.restore_newest() is None:
            self._begin(progress)

    @property
    def step(self) -> int:
        """The last one that was made."""
        return int(self._optimizer.step.numpy())

    def run(self, interruption: Interruption, *, progress: bool) -> None:
        """Make the steps that are left. After an interruption everything is kept that the next call needs."""
        batches = iter(self._batches(self.step))
        with progress_bar(
            total=self._steps, initial=self.step, description="quantisation-aware", unit="step", show=progress
        ) as bar:
            while self.step < self._steps:
                interruption.end()
                begin = self.step
                rows = self._train_step.several(batches, tf.constant(self._next_stop() - begin)).numpy()
                bar.set_postfix_str(f"loss {rows[:, 1].mean():.3f}, {self._best_so_far()}", refresh=False)
                bar.update(self.step - begin)
                if not self._look(interrupted=interruption.asked is not None):
                    return
            interruption.end()

    def result(self) -> RoundedModel:
        """Of the best weights and ranges."""
        best = newest_checkpoint(self._folder / BEST_FOLDER)
        self._state.read(str(best)).assert_existing_objects_matched().expect_partial()
        return RoundedModel(self._simulated, self._ranged.ranges.numpy(), partial(raw_outputs, self._run.experiment))

    def _begin(self, progress: bool) -> None:
        equalise(self._traced)
        self._ranged.calibrate(pictures for pictures, _ in islice(self._batches(0), _CALIBRATION_BATCHES))
        self._validate(progress=progress)
        self._checkpoints.save(0)

    def _next_stop(self) -> int:
        """At most a few steps on, for somebody may want an end, and at the next validation."""
        return min(self.step + _LOOP_STEPS, self._steps, *(mark for mark in self._marks() if mark > self.step))

    def _marks(self) -> list[int]:
        return [round(self._steps * (at + 1) / _VALIDATIONS) for at in range(_VALIDATIONS)]

    def _look(self, *, interrupted: bool) -> bool:
        """Validate and save where it is time to. Whether what was learnt is worth going on with."""
        validates = self.step in self._marks()
        try:
            if not all_finite(self._network.variables):
                raise NotFinite("a weight")
            if validates:
                self._validate()
            if validates or interrupted:
                self._checkpoints.save(self.step)
        except NotFinite as error:
            logger.warning("quantisation-aware training broke down: step=%d value=%s", self.step, error)
            return False
        return True

    def _validate(self, *, progress: bool = False) -> None:
        evaluation = self._evaluate(progress)
        mean_ap = evaluation.coco["mAP"]
        logger.info("simulated int8: step=%d mAP=%s mAP50=%s", self.step, mean_ap, evaluation.coco["mAP50"])
        if self._best.judge(self.step, -1.0 if mean_ap is None else mean_ap):
            keep_best(self._folder, self._state, self.step, evaluation)

    def _evaluate(self, progress: bool) -> Evaluation:
        return evaluate(
            self._detector,
            read_part(self._run.records, "validation"),
            labels=self._run.experiment.classes,
            intervals=False,
            progress=progress,
        )

    def _best_so_far(self) -> str:
        return f"best simulated int8 mAP {self._best.mean_ap:.3f} at {self._best.step}"

    def _batches(self, step: int) -> tf.data.Dataset:
        """The pictures that would have come next in the training, from those of this step on."""
        experiment = self._run.experiment
        inputs = TrainingInputs(
            part_files(self._run.records, "train"),
            experiment.training.batch,
            experiment.training.seed,
            experiment.augmentation,
            experiment.balance,
            list(class_factors(self._run.records, experiment.balance).values()),
            experiment.model.resize,
            list(rarity(self._run.records, experiment.balance).values()),
            experiment.classes,
        )
        labeller = Labeller(experiment.model, experiment.assignment)
        return inputs.batches(labeller, first_step=self._trained.steps + step)

    def _simulated_detector(self) -> RawHeadsDetector:
        experiment = self._run.experiment
        spec = experiment.model

        pixels_spec = tf.TensorSpec((None, spec.input_height, spec.input_width, 3), tf.uint8)

        @tf.function(input_signature=[pixels_spec], autograph=False)  # type: ignore[untyped-decorator]
        def compiled(pixels: Any) -> dict[str, Any]:
            found = self._ranged((tf.cast(pixels, tf.float32) - PIXEL_MEAN_RGB) / PIXEL_STD_RGB)
            return raw_outputs(experiment, found[CLASSES], found[BOXES])

        def heads(rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
            outputs = compiled(tf.constant(rgb_u8))
            return outputs[RAW_BOXES].numpy(), outputs[SCORES].numpy()

        decoding = decoder(experiment, score_threshold=EVALUATION_SCORE_THRESHOLD)
        return RawHeadsDetector(heads, decoding, where="the simulated int8 network", batch=_BATCH)


def _schedule(training: Schedule, steps: int) -> Schedule:
    """All parts learn alike: rounding costs what is frozen, too."""
    changes = {
        "steps": steps,
        "learning_rate": training.learning_rate * _RATE,
        "warmup_steps": steps // 20,
        "frozen": (),
        "rates": {},
        "ema_decay": 0.0,
    }
    return training.model_copy(update=changes)


def _pixel_range() -> tuple[float, float]:
    """Of normalised pixels."""
    mean, std = np.asarray(PIXEL_MEAN_RGB), np.asarray(PIXEL_STD_RGB)
    return float(((0 - mean) / std).min()), float(((255 - mean) / std).max())
