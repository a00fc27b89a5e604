"""What TensorBoard shows of a training: losses, metrics, figures, pictures with boxes, and the runs side by side."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tensorboard.plugins.hparams import api as hyper_parameters

from vigie.data.parts import Sample
from vigie.domain import Detection
from vigie.experiment import Experiment
from vigie.training import plots
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.confusion import CONFUSION_SCORE

TRAIN_FOLDER, VALIDATION_FOLDER = "train", "validation"
SHOWN_PICTURES = 8
_LOSSES = ("total", "class", "box")
_FIGURE_DPI = 110
_NOT_COMPARED = ("name", "data", "classes", "split", "hardware")
_LOOKED_AT_FIRST = ("training.init", "training.steps", "training.learning_rate", "model.input_width", "loss.box")
_COMPARED_METRICS = ("mAP50", "mAP")


class Board:
    """Writes into `folder`/train and /validation, which TensorBoard shows as two lines of one chart.

    A training that goes on after an interruption writes its steps again; TensorBoard keeps the later ones.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._train = tf.summary.create_file_writer(str(folder / TRAIN_FOLDER))
        self._validation = tf.summary.create_file_writer(str(folder / VALIDATION_FOLDER))

    def trained(self, rows: npt.NDArray[np.float32], *, learning_rate: float, pictures_per_s: float) -> None:
        """The losses of some steps: rows of step, total, class and box loss. The other two are of the last of them."""
        with self._train.as_default():
            for step, *losses in rows:
                self._losses(losses, int(step))
            if len(rows):
                tf.summary.scalar("learning_rate", learning_rate, step=int(rows[-1, 0]))
                tf.summary.scalar("pictures_per_second", pictures_per_s, step=int(rows[-1, 0]))

    def validated(
        self,
        step: int,
        evaluation: Evaluation,
        *,
        losses: Sequence[float] | None = None,
        samples: Sequence[Sample] = (),
    ) -> None:
        """The metrics on validation, and the first pictures of it, `samples`, with true and found boxes.

        `losses` are the mean total, class and box loss. `samples` are in the order of the evaluation.
        """
        with self._validation.as_default():
            if losses is not None:
                self._losses(losses, step)
            _scalars("metrics", evaluation.coco, step)
            _scalars("AP", {label: one.ap for label, one in evaluation.per_class.items()}, step)
            _scalars("AP50", {label: one.ap50 for label, one in evaluation.per_class.items()}, step)
            _figure("precision_recall", plots.precision_recall(evaluation), step)
            _figure("confusion", plots.confusion(evaluation), step)
            if shown := samples[:SHOWN_PICTURES]:
                _figure(
                    "pictures", plots.gallery(shown, _found(evaluation, len(shown)), list(evaluation.per_class)), step
                )
        self._train.flush()
        self._validation.flush()

    def compared(self, experiment: Experiment, *, name: str) -> None:
        """Put the run beside the others under HParams, with all that its experiment chose; `name` tells it apart."""
        chosen = hyper_parameters_of(experiment)
        order = [*_LOOKED_AT_FIRST, *(field for field in chosen if field not in _LOOKED_AT_FIRST)]
        metrics = [
            hyper_parameters.Metric(f"metrics/{metric}", group=VALIDATION_FOLDER, display_name=metric)
            for metric in _COMPARED_METRICS
        ]
        with tf.summary.create_file_writer(str(self._folder)).as_default():
            hyper_parameters.hparams_config([hyper_parameters.HParam(field) for field in order], metrics)
            hyper_parameters.hparams(chosen, trial_id=name)

    def close(self) -> None:
        self._train.close()
        self._validation.close()

    @staticmethod
    def _losses(losses: Sequence[float], step: int) -> None:
        for kind, value in zip(_LOSSES, losses, strict=True):
            tf.summary.scalar(f"loss/{kind}", value, step=step)


def hyper_parameters_of(experiment: Experiment) -> dict[str, bool | int | float | str]:
    """What was chosen, flat: `training.batch`, `model.anchors.size` ...; lists as text, nothing left out."""
    values = experiment.model_dump(mode="json", exclude=set(_NOT_COMPARED))
    values["training"]["init"] = experiment.training.init or "from scratch"
    return dict(_flat(values, ""))


def _flat(values: Mapping[str, Any], within: str) -> list[tuple[str, bool | int | float | str]]:
    found: list[tuple[str, bool | int | float | str]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found += _flat(value, f"{within}{name}.")
        elif isinstance(value, bool | int | float | str):
            found.append((within + name, value))
        elif isinstance(value, list):
            found.append((within + name, ", ".join(str(item) for item in value)))
    return found


def _scalars(group: str, values: Mapping[str, float | None], step: int) -> None:
    for name, value in values.items():
        if value is not None:
            tf.summary.scalar(f"{group}/{name}", value, step=step)


def _found(evaluation: Evaluation, pictures: int) -> list[list[Detection]]:
    """What the confusion matrix counts, so that the pictures and the figures tell one story."""
    return [
        [seen for seen in picture.result.found if seen.score >= CONFUSION_SCORE]
        for picture in evaluation.per_picture[:pictures]
    ]


def _figure(name: str, figure: Figure, step: int) -> None:
    FigureCanvasAgg(figure)
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=_FIGURE_DPI)
    tf.summary.image(name, tf.io.decode_png(encoded.getvalue(), channels=3)[None], step=step)
