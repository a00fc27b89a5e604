"""A look at the validation part with the network as it is, in the middle of its training."""

from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from vigie.data.prepare import load_manifest, part_files, read_part
from vigie.experiment import Augmentation, Balance, Experiment
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import InputSize
from vigie.runs import Run
from vigie.training.board import SHOWN_PICTURES
from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD, Evaluation, evaluate
from vigie.training.inputs import TrainingInputs
from vigie.training.labelling import Labeller
from vigie.training.network.config import decoder
from vigie.training.network.heads import compiled_heads
from vigie.training.network.model import inference_model
from vigie.training.objective import Objective

_BATCH = 8


class Validation:
    """Measures the weights that the network holds at that moment. The graphs are traced once."""

    def __init__(self, run: Run, network: tf_keras.Model) -> None:
        self._experiment = run.experiment
        self._records = run.records
        self._network = network
        self._objective = Objective(self._experiment)
        self._detector = live_detector(self._experiment, network)
        self._batches = _plain_batches(self._experiment, run.records)
        self.shown = tuple(islice(read_part(run.records, "validation"), SHOWN_PICTURES))
        """The first pictures, in the order of the evaluation."""

    def evaluate(self) -> Evaluation:
        """By COCO's rules, without the intervals.

        Raises:
            BadData: a picture cannot be decoded.
        """
        spec = self._experiment.model
        return evaluate(
            self._detector,
            read_part(self._records, "validation"),
            labels=self._experiment.classes,
            input_size=InputSize(spec.input_width, spec.input_height, spec.resize),
            intervals=False,
            progress=False,
        )

    def losses(self) -> npt.NDArray[np.float32]:
        """Mean total, class and box loss over the part in batches, without augmentation.

        What lacks to the last batch is filled up with pictures that were there before.
        """
        mean: npt.NDArray[np.float32] = np.mean([self._losses(*batch).numpy() for batch in self._batches], axis=0)
        return mean

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def _losses(self, images: tf.Tensor, labels: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.stack(self._objective(self._network(images, training=False), labels))


def _plain_batches(experiment: Experiment, records: Path) -> tf.data.Dataset:
    """The same batches each time they are gone through."""
    pictures = load_manifest(records).parts["validation"].pictures
    batch = min(_BATCH, pictures)
    inputs = TrainingInputs(
        part_files(records, "validation"),
        batch,
        experiment.training.seed,
        Augmentation(flip=0, scale=0),
        Balance(),
        (),
        experiment.model.resize,
    )
    return inputs.batches(Labeller(experiment.model, experiment.assignment)).take(ceil(pictures / batch))


def live_detector(experiment: Experiment, network: tf_keras.Model) -> RawHeadsDetector:
    """The network as a detector; it follows the network's weights as they change."""
    heads = compiled_heads(experiment, inference_model(experiment, network))
    decoding = decoder(experiment, score_threshold=EVALUATION_SCORE_THRESHOLD)
    return RawHeadsDetector(heads, decoding, where="the network in training", batch=_BATCH)
