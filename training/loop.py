"""The training loop: steps, checkpoints, validations, and the way back when the loss breaks down.

Imports TensorFlow; `vigie.training.train` is the door, which quietens it first.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow as tf
import tf_keras

from vigie.data.balance import rarity
from vigie.data.prepare import part_files
from vigie.errors import BadData, BadRun, BadSetting, Unavailable
from vigie.progress import progress as progress_bar
from vigie.runs import Run
from vigie.training.best import BestSoFar, keep_best
from vigie.training.board import Board
from vigie.training.checkpoints import Checkpoints, NotFinite, checkpoint_steps, clear_unfinished
from vigie.training.devices import (
    is_chief,
    let_threads_sleep,
    replica_batch,
    set_precision,
    share_statistics,
    strategy_of,
)
from vigie.training.facts import Rollback, TrainingFacts, environment, finite_text
from vigie.training.guard import Breakdown, all_finite, first_breakdown, lacks_space, some_of, undecodable
from vigie.training.inputs import TrainingInputs
from vigie.training.interruption import Interruption, between_steps
from vigie.training.labelling import Labeller
from vigie.training.losses import LOSSES_FILE, VALIDATION_FILE, LossHistory, ValidationHistory
from vigie.training.network.folded_norm import fold_norms
from vigie.training.network.model import build_network
from vigie.training.network.restoring import initialise
from vigie.training.objective import Objective
from vigie.training.optimizing import Optimizer
from vigie.training.processor_gradients import gradient_overrides
from vigie.training.recording import OnStep, Recorder
from vigie.training.step import TrainStep
from vigie.training.turns import names
from vigie.training.validation import Validation

logger = logging.getLogger(__name__)

_LOOP_STEPS = 10  # at most, between two looks at the losses
_LOOP_S = 2.0  # so long may a person wait for the bar, and for the end after Ctrl-C


@dataclass(frozen=True, slots=True)
class Outcome:
    """`steps` were made; the weights of `best_step` have the best mAP on validation.

    Of several workers the `chief` writes what is kept.
    """

    steps: int
    best_step: int
    best_map: float
    chief: bool


def run_training(
    run: Run, facts: TrainingFacts, *, factors: Sequence[float], progress: bool, on_step: OnStep | None
) -> Outcome:
    """Train from the newest checkpoint, or from the start, up to the experiment's steps or its patience.

    A training that goes on sees the batches that it would have seen without the interruption. `factors` balance the
    classes, in their order.

    Raises:
        BadSetting: the initial weights are not there or do not fit; or the hardware is not as the experiment says.
        BadData: a picture cannot be decoded, or the records are damaged.
        BadRun: the loss broke down, also at a lower rate.
        Unavailable: no space for a checkpoint, no memory for a batch.
    """
    experiment = run.experiment
    let_threads_sleep()
    strategy = strategy_of(experiment.hardware)
    precision = set_precision(experiment.hardware)
    replica_batch(experiment.training.batch, strategy)
    tf_keras.utils.set_random_seed(experiment.training.seed)
    chief = is_chief(strategy)
    try:
        with TemporaryDirectory() as nowhere, between_steps() as interruption:
            folder = run.checkpoints if chief else Path(nowhere)
            facts = replace(facts, path=folder / facts.path.name)
            training = _Training(run, facts, strategy, precision, factors, folder)
            facts.begin(training.step, environment(strategy, precision))
            outcome = training.run(interruption, progress=progress and chief, on_step=on_step)
            facts.end(outcome.steps)
            return outcome
    except (OSError, tf.errors.OpError) as error:
        if not lacks_space(error):
            raise
        raise Unavailable(
            f"{run.checkpoints}: there is no space to write into ({error}); the checkpoints are whole. Make room, then "
            f"give the same command again: it goes on at the last of them"
        ) from error
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")  # it is the whole process's


class _Training:
    """All workers do the same; what they write goes to their own `folder`, and the chief's is the run's."""

    def __init__(
        self,
        run: Run,
        facts: TrainingFacts,
        strategy: tf.distribute.Strategy,
        precision: str,
        factors: Sequence[float],
        folder: Path,
    ) -> None:
        experiment = run.experiment
        self._run = run
        self._folder = folder
        self._experiment = experiment
        self._facts = facts
        self._schedule = experiment.training
        self._strategy = strategy
        self._inputs = TrainingInputs(
            part_files(run.records, "train"),
            experiment.training.batch,
            experiment.training.seed,
            experiment.augmentation,
            experiment.balance,
            factors,
            experiment.model.resize,
            list(rarity(run.records, experiment.balance).values()),
            experiment.classes,
        )
        clear_unfinished(folder)
        with strategy.scope():
            self._network = build_network(experiment)
            if not checkpoint_steps(run.checkpoints):
                report = initialise(self._network, experiment)
                facts.restored = None if report is None else report.to_json()
            overrides = gradient_overrides(precision)
            if overrides:  # in float32, on a processor
                fold_norms(self._network)
            self._optimizer = Optimizer(self._network, self._schedule)
            self._best = BestSoFar()
        saved = tf.train.Checkpoint(model=self._network, optimizer=self._optimizer, best=self._best)
        self._checkpoints = Checkpoints(run.checkpoints, saved, writes=is_chief(strategy))
        self._steps = TrainStep(
            self._network,
            Objective(experiment),
            self._optimizer,
            strategy,
            gradient_overrides=overrides,
        )
        self._validation = Validation(run, self._network)
        self._loop_steps = 1
        if self._checkpoints.restore_newest() is None:
            self._save_start()
        self._optimizer.rate_factor.assign(facts.rate_factor)

    def _save_start(self) -> None:
        """So that there always is a way back."""
        try:
            self._checkpoints.save(0)
        except NotFinite as error:
            raise BadSetting(
                f"training.init: {self._schedule.init}: not all weights are finite ({error}); take another source"
            ) from error

    @property
    def step(self) -> int:
        """The last one that was made."""
        return int(self._optimizer.step.numpy())

    def run(self, interruption: Interruption, *, progress: bool, on_step: OnStep | None) -> Outcome:
        schedule, run = self._schedule, self._run
        board = Board(self._folder)
        board.compared(self._experiment, name=run.name)
        with progress_bar(
            total=schedule.steps, initial=self.step, description="training", unit="step", show=progress
        ) as bar:
            self._board = board
            self._recorder = Recorder(board, bar, batch=schedule.batch, on_step=on_step)
            self._begin_at(self.step)
            while self.step < schedule.steps and not self._patience_is_over():
                broken = self._make_steps() or self._look()
                if broken is not None:
                    self._go_back(broken)
                if interruption.asked is not None:
                    self._end_early()
                    interruption.end()
        board.close()
        if self.step < schedule.steps:
            logger.info("ended early: step=%d, no better mAP in %d validations", self.step, schedule.patience)
        return Outcome(self.step, self._best.step, self._best.mean_ap, chief=is_chief(self._strategy))

    def _end_early(self) -> None:
        try:
            self._checkpoints.save(self.step)
        except NotFinite as error:
            logger.warning("this step is not kept, it is not finite: step=%d value=%s", self.step, error)
        self._facts.end(self.step)

    def _begin_at(self, step: int) -> None:
        folder = self._folder
        self._batches = iter(self._distributed(first_step=step))
        self._validations = ValidationHistory(folder / VALIDATION_FILE, self._experiment.classes, resumed_at=step)
        self._recorder.begin_at(step, LossHistory(folder / LOSSES_FILE, resumed_at=step))
        self._recorder.best = str(self._best)

    def _distributed(self, *, first_step: int) -> Any:
        """The batches, each replica's share of them where there are several."""
        labeller = Labeller(self._experiment.model, self._experiment.assignment)
        if self._strategy.num_replicas_in_sync == 1:
            return self._inputs.batches(labeller, first_step=first_step)
        return self._strategy.distribute_datasets_from_function(
            lambda context: self._inputs.batches(labeller, first_step=first_step, context=context)
        )

    def _make_steps(self) -> Breakdown | None:
        begin = self.step
        until = self._next_stop(begin)
        started = time.monotonic()
        try:
            rows = self._steps.several(self._batches, tf.constant(until - begin)).numpy()
        except tf.errors.OpError as error:
            self._explain(error, range(begin + 1, until + 1))
            raise
        seconds = time.monotonic() - started
        self._loop_steps = max(1, min(_LOOP_STEPS, int(_LOOP_S * len(rows) / seconds)))
        broken = first_breakdown(rows, self._schedule.max_loss)
        good = rows if broken is None else rows[rows[:, 0] < broken.step]
        self._recorder(good, learning_rate=float(self._optimizer.learning_rate), seconds=seconds)
        return broken

    def _explain(self, error: tf.errors.OpError, steps: range) -> None:
        """Raise what a person can mend, if it is that."""
        records = self._run.records
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise Unavailable(
                f"steps {steps.start} to {steps.stop - 1}: there is not enough memory for training.batch "
                f"{self._schedule.batch} at this input size; take less of either"
            ) from error
        if isinstance(error, tf.errors.DataLossError):
            raise BadData(
                f"{records}: the records are damaged; run `vigie data prepare` (or `make data`) again"
            ) from error
        if isinstance(error, tf.errors.InvalidArgumentError) and (bad := undecodable(self._inputs, steps)):
            raise BadData(
                f"{some_of(bad)}: cannot be decoded; mend or remove it and prepare the records {records} again. "
                f"The checkpoint of step {self._checkpoints.steps()[-1]} is kept"
            ) from error

    def _next_stop(self, step: int) -> int:
        schedule = self._schedule
        marks = (schedule.checkpoint_every, schedule.validate_every or schedule.checkpoint_every)
        return min(step + self._loop_steps, schedule.steps, *((step // every + 1) * every for every in marks))

    def _look(self) -> Breakdown | None:
        """Validate and save where it is time to, unless what is there is not worth it."""
        schedule, step = self._schedule, self.step
        last = step == schedule.steps
        validates = last or step % (schedule.validate_every or schedule.checkpoint_every) == 0
        if not (validates or step % schedule.checkpoint_every == 0):
            return None
        share_statistics(self._network, self._strategy)
        try:
            if not all_finite(self._network.variables):
                return Breakdown(step, nan, weights_broken=True)
            if validates:
                self._validate(step)
            # A validation that no checkpoint knows of would be made again after an interruption, and judged anew.
            self._checkpoints.save(step)
        except NotFinite as error:
            logger.warning("what this step learnt is not finite: step=%d value=%s", step, error)
            return Breakdown(step, nan, weights_broken=True)
        return None

    def _validate(self, step: int) -> None:
        with self._optimizer.averaged():
            share_statistics(self._network, self._strategy)
            evaluation = self._validation.evaluate()
            losses = self._validation.losses()
            mean_ap = evaluation.coco["mAP"]
            if self._best.judge(step, nan if mean_ap is None else mean_ap):
                keep_best(self._folder, tf.train.Checkpoint(model=self._network), step, evaluation)
        ap50 = {label: found.ap50 for label, found in evaluation.per_class.items()}
        self._validations.append(step, evaluation.coco, [float(value) for value in losses], ap50)
        self._board.validated(
            step, evaluation, losses=[float(value) for value in losses], samples=self._validation.shown
        )
        self._recorder.best = str(self._best)
        logger.info("validated: step=%d mAP=%s mAP50=%s", step, evaluation.coco["mAP"], evaluation.coco["mAP50"])

    def _patience_is_over(self) -> bool:
        patience = self._schedule.patience
        return bool(patience) and self._best.without_better >= patience

    def _go_back(self, broken: Breakdown) -> None:
        factor = self._facts.rate_factor / 2
        pictures = tuple(names(self._inputs, broken.step))
        loss = finite_text(broken.loss)
        kept = self._checkpoints.steps()[-1]
        if sum(one.back_to is not None for one in self._facts.rollbacks) >= self._schedule.rollbacks:
            self._facts.rollbacks.append(Rollback(broken.step, loss, pictures))
            self._facts.end(broken.step)
            raise BadRun(
                f"{broken}, the training has broken down. The batch: {some_of(pictures)}. The checkpoint of step "
                f"{kept} is kept; look at these pictures and their boxes, lower training.learning_rate or raise "
                f"training.warmup_steps in the run's experiment.yaml"
            )
        back_to = self._checkpoints.restore_newest()
        assert back_to is not None
        self._facts.rollbacks.append(Rollback(broken.step, loss, pictures, back_to, factor))
        self._facts.write()
        self._optimizer.rate_factor.assign(factor)
        logger.warning("broken down: %s; back to step %d with %.4g of the learning rate; pictures=%s",
                       broken, back_to, factor, some_of(pictures))  # fmt: skip
        self._begin_at(back_to)
