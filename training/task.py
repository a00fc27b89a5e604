"""Model Garden's RetinaNet task, with our training data, each step's losses, honest validation and starting weights
that may not fit.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras
from official.vision.tasks.retinanet import RetinaNetTask

from vigie.errors import BadSetting


class DetectorTask(RetinaNetTask):  # type: ignore[misc]  # Model Garden has no types
    """`recorded` gives the losses of the last `kept_steps` steps, which Model Garden only averages.

    `training_batches` makes the training data; without it the task cannot train.
    """

    def __init__(
        self,
        params: Any,
        *,
        kept_steps: int,
        training_batches: Callable[[], tf.data.Dataset] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(params, **options)
        self._kept_steps = kept_steps
        self._training_batches = training_batches
        self._ring: tf.Variable | None = None
        self._traced_losses: tuple[tf.Tensor, tf.Tensor, tf.Tensor] | None = None

    def build_model(self) -> tf_keras.Model:
        # Rows of step, total, class and box loss. Step 2**24 is the last that float32 holds exactly.
        self._ring = tf.Variable(tf.zeros((self._kept_steps, 4)), trainable=False, name="step_losses")
        return super().build_model()

    def build_inputs(self, params: Any, input_context: tf.distribute.InputContext | None = None) -> tf.data.Dataset:
        if not params.is_training:
            return super().build_inputs(params, input_context)
        assert self._training_batches is not None, "a task that trains is given its batches"
        return self._training_batches()

    def recorded(self) -> npt.NDArray[np.float32]:
        """Rows of step (from 1), total, class and box loss, by step; at most the last `kept_steps`."""
        assert self._ring is not None, "the model is built before anything is recorded"
        rows: npt.NDArray[np.float32] = self._ring.numpy()
        rows = rows[rows[:, 0] > 0]
        return rows[np.argsort(rows[:, 0])]

    def build_losses(
        self, outputs: Mapping[str, Any], labels: Mapping[str, Any], aux_losses: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        losses: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor] = super().build_losses(outputs, labels, aux_losses)
        self._traced_losses = losses[:3]
        return losses

    def train_step(self, inputs: Any, model: Any, optimizer: Any, metrics: Any = None) -> dict[str, Any]:
        logs: dict[str, Any] = super().train_step(inputs, model, optimizer, metrics)
        assert self._ring is not None
        assert self._traced_losses is not None
        step = optimizer.iterations  # already counts this step
        row = tf.stack([tf.cast(step, tf.float32), *self._traced_losses])
        self._ring.scatter_update(tf.IndexedSlices(row[None], (step[None] - 1) % self._kept_steps))
        return logs

    def validation_step(self, inputs: Any, model: Any, metrics: Any = None) -> dict[str, Any]:
        logs: dict[str, Any] = super().validation_step(inputs, model, metrics)
        if self.task_config.use_coco_metrics:
            _, found = logs[self.coco_metric.name]
            # The evaluator counts every row, also those past the number of detections, which hold old values.
            rows = tf.sequence_mask(found["num_detections"], tf.shape(found["detection_scores"])[1], tf.float32)
            found["detection_scores"] *= rows
            found["detection_boxes"] *= rows[..., None]
        return logs

    def initialize(self, model: tf_keras.Model) -> None:
        """Load the starting weights, where some are set.

        Raises:
            BadSetting: they are of a model of another shape.
        """
        try:
            super().initialize(model)
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise BadSetting(
                f"training.init: {self.task_config.init_checkpoint} does not fit this model "
                f"({str(error).splitlines()[0]}); the width, the filters and the head's convolutions must be the same"
            ) from error
