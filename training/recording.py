"""What happens every few steps of a training: losses to their file, the progress bar, and a stop at a broken loss."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vigie.errors import BadRun
from vigie.training.losses import LossHistory

OnStep = Callable[[int, float], None]
"""Called for every step with its number, from 1, and its total loss."""


class Recorder:
    """An Orbit action: called after each inner loop of the training, before a checkpoint can be written."""

    def __init__(
        self,
        recorded: Callable[[], npt.NDArray[np.float32]],
        history: LossHistory,
        bar: Any,
        *,
        batch: int,
        on_step: OnStep | None,
    ) -> None:
        self._recorded = recorded
        self._history = history
        self._bar = bar
        self._batch = batch
        self._on_step = on_step
        self._looked = time.monotonic()

    def __call__(self, _output: Any) -> None:
        """Raise BadRun when a loss is no number: the loop's checkpoint is not written then."""
        new = self._history.append(self._recorded())
        for step, total, *_ in new:
            if not math.isfinite(total):
                raise BadRun(
                    f"step {int(step)}: the loss is {total}, the training has broken down. The checkpoint before it is "
                    f"kept; lower training.learning_rate or raise training.warmup_steps in the run's experiment.yaml"
                )
            if self._on_step is not None:
                self._on_step(int(step), float(total))
        self._show(new)

    def _show(self, new: npt.NDArray[np.float32]) -> None:
        now = time.monotonic()
        pictures_per_s = len(new) * self._batch / max(now - self._looked, 1e-9)
        self._looked = now
        if len(new):
            loss = f"loss {float(new[:, 1].mean()):.3f}, {pictures_per_s:.0f} pictures/s"
            self._bar.set_postfix_str(loss, refresh=False)
        self._bar.update(len(new))
