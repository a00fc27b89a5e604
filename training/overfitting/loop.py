"""Steps on the same few pictures until a network knows them; see `vigie.training.overfitting.overfit`, the door."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from vigie.data.parts import Sample
from vigie.data.prepare import part_files
from vigie.errors import BadData
from vigie.experiment import Augmentation, Balance, Experiment, NetworkPart
from vigie.progress import progress as progress_bar
from vigie.resizing import InputSize
from vigie.training.box_geometry import iou
from vigie.training.devices import set_precision
from vigie.training.evaluating.evaluation import Evaluation, evaluate
from vigie.training.inputs import TrainingInputs
from vigie.training.labelling import Labeller
from vigie.training.network.model import build_network
from vigie.training.network.restoring import initialise
from vigie.training.objective import Objective
from vigie.training.optimizing import Optimizer, network_parts
from vigie.training.overfitting.overfit import GOOD_MAP50, Verdict, names
from vigie.training.overfitting.reasons import BoxFit, reasons
from vigie.training.step import Batch, TrainStep
from vigie.training.validation import live_detector

_RATE = 0.002
_WARMUP_STEPS = 20
_CONSTANT = 10**6  # steps of a cosine that is over long before
_EVALUATED_STEPS = 20
_SLOWER = ((0.6, 0.3), (0.85, 0.1))
"""After that share of the time, with that share of the rate: what wavers comes to rest."""


def learn_by_heart(
    records: Path, experiment: Experiment, samples: Sequence[Sample], *, seconds: float, progress: bool
) -> Verdict:
    """As `vigie.training.overfitting.overfit.overfit` says."""
    begin = time.monotonic()
    set_precision(experiment.hardware)
    tf_keras.utils.set_random_seed(experiment.training.seed)
    try:
        pupil = _Pupil(records, experiment, samples)
        learnt = pupil.learn(begin, seconds, progress=progress)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    map50 = learnt.curve[-1][1]
    learns = map50 >= GOOD_MAP50
    why = [] if learns else reasons(
        learnt.rows,
        pupil.gradients,
        box_fits(samples, experiment),
        learnt.evaluation,
        experiment.training,
        experiment.assignment.positive_iou,
    )  # fmt: skip
    spent = round(time.monotonic() - begin, 1)
    return Verdict(learns, map50, len(learnt.rows), spent, names(samples), tuple(learnt.curve), tuple(why))


@dataclass(frozen=True, slots=True)
class _Learnt:
    rows: npt.NDArray[np.float32]
    curve: list[tuple[int, float]]
    evaluation: Evaluation


class _Pupil:
    def __init__(self, records: Path, experiment: Experiment, samples: Sequence[Sample]) -> None:
        self._experiment = experiment
        self._samples = samples
        self._network = build_network(experiment)
        initialise(self._network, experiment)
        # All pictures are in each batch: their own mean and variance are those to evaluate with, not an average of
        # those of weights that were.
        for layer in self._network.submodules:
            if isinstance(layer, tf_keras.layers.BatchNormalization):
                layer.momentum = 0.0
        schedule = experiment.training.model_copy(
            update={
                "steps": _CONSTANT,
                "warmup_steps": _WARMUP_STEPS,
                "learning_rate": _RATE,
                "optimizer": "adam",
                "weight_decay": 0.0,
                "ema_decay": 0.0,
                "clip_norm": 10.0,
            }
        )
        self._optimizer = Optimizer(self._network, schedule)
        self._objective = Objective(experiment)
        self._step = TrainStep(self._network, self._objective, self._optimizer, tf.distribute.get_strategy())
        self._batch = _one_batch(records, experiment, samples)
        self.gradients = self._gradient_norms()

    def learn(self, begin: float, seconds: float, *, progress: bool) -> _Learnt:
        batches = iter(tf.data.Dataset.from_tensors(self._batch).repeat())
        detector = live_detector(self._experiment, self._network)
        rows: list[npt.NDArray[np.float32]] = []
        curve: list[tuple[int, float]] = []
        with progress_bar(total=round(seconds), description="learning by heart", unit="s", show=progress) as bar:
            while True:
                began = time.monotonic()
                rows.append(self._step.several(batches, tf.constant(_EVALUATED_STEPS)).numpy())
                evaluation = self._evaluate(detector)
                map50 = evaluation.coco["mAP50"] or 0.0
                curve.append((_EVALUATED_STEPS * len(rows), map50))
                spent = time.monotonic() - begin
                bar.update(min(round(spent), round(seconds)) - bar.n)
                bar.set_postfix_str(f"mAP50 {map50:.3f}, loss {rows[-1][:, 1].mean():.3f}")
                # The first round builds the graph, which says nothing of how long another takes.
                over = spent + (time.monotonic() - began if len(rows) > 1 else 0) > seconds
                if map50 >= GOOD_MAP50 or over or not np.isfinite(rows[-1]).all():
                    return _Learnt(np.concatenate(rows), curve, evaluation)
                for share, factor in _SLOWER:
                    if spent > share * seconds:
                        self._optimizer.rate_factor.assign(factor)

    def _evaluate(self, detector: Any) -> Evaluation:
        spec = self._experiment.model
        return evaluate(
            detector,
            self._samples,
            labels=self._experiment.classes,
            input_size=InputSize(spec.input_width, spec.input_height, spec.resize),
            intervals=False,
            progress=False,
        )

    def _gradient_norms(self) -> dict[NetworkPart, float]:
        """Of each part at the start; 0 where it is frozen or nothing depends on it."""
        parts = network_parts(self._network)

        @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
        def norms(images: tf.Tensor, labels: Any) -> list[tf.Tensor]:
            with tf.GradientTape(persistent=True) as tape:
                total = self._objective(self._network(images, training=True), labels).total
            found = [tape.gradient(total, part.trainable_variables) for part in parts.values()]
            return [tf.linalg.global_norm([one for one in part if one is not None] or [0.0]) for part in found]

        return {part: float(norm) for part, norm in zip(parts, norms(*self._batch), strict=True)}


def box_fits(samples: Sequence[Sample], experiment: Experiment) -> list[BoxFit]:
    """How the anchors lie to each true box of some pictures."""
    spec = experiment.model
    labeller = Labeller(spec, experiment.assignment)
    fits = []
    for sample in (one for one in samples if one.objects):
        place = InputSize(spec.input_width, spec.input_height, spec.resize).placement(
            sample.picture.width, sample.picture.height
        )
        boxes = np.array(
            [
                (
                    place.top + marked.box.top * place.down,
                    place.left + marked.box.left * place.across,
                    place.top + marked.box.bottom * place.down,
                    place.left + marked.box.right * place.across,
                )
                for marked in sample.objects
            ],
            np.float32,
        )
        answering = np.asarray(labeller.assigned(tf.constant(boxes)))
        overlaps = np.asarray(iou(tf.constant(boxes[:, None]), tf.constant(labeller.anchors[None]))).max(axis=1)
        for number, (marked, (top, left, bottom, right)) in enumerate(zip(sample.objects, boxes, strict=True)):
            name = f"{sample.filename}, {marked.label} of {right - left:.0f}x{bottom - top:.0f} px at the input"
            fits.append(BoxFit(name, int((answering == number).sum()), float(overlaps[number])))
    return fits


def _one_batch(records: Path, experiment: Experiment, samples: Sequence[Sample]) -> Batch:
    """All the pictures in one, as a training without augmentation takes them."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "pictures.tfrecord"
        _copy_records(part_files(records, "train"), names(samples), path)
        inputs = TrainingInputs(
            [path],
            len(samples),
            experiment.training.seed,
            Augmentation(flip=0, scale=0),
            Balance(),
            (),
            experiment.model.resize,
        )
        try:
            batch: Batch = next(iter(inputs.batches(Labeller(experiment.model, experiment.assignment))))
        except tf.errors.InvalidArgumentError as error:
            raise BadData(
                f"{records}: one of {', '.join(names(samples))} cannot be decoded; mend or remove it"
            ) from error
    return batch


def _copy_records(files: Sequence[Path], wanted: Sequence[str], path: Path) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in tf.data.TFRecordDataset([str(file) for file in files]).as_numpy_iterator():
            name = tf.train.Example.FromString(record).features.feature["image/filename"].bytes_list.value
            if name and name[0].decode() in wanted:
                writer.write(record)
