"""What is told of every few steps of a training: the losses to their file and to TensorBoard, and the progress bar."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vigie.training.losses import LossHistory

if TYPE_CHECKING:  # it imports TensorFlow, which has to be quietened first
    from vigie.training.board import Board

OnStep = Callable[[int, float], None]
"""Called for every step with its number, from 1, and its total loss."""


class Recorder:
    """Called with the rows (step, total, class and box loss) of the steps that were just made.

    `best` is what the bar says of the best validation so far.
    """

    def __init__(self, board: "Board", bar: Any, *, batch: int, on_step: OnStep | None) -> None:
        self._board = board
        self._bar = bar
        self._batch = batch
        self._on_step = on_step
        self._history: LossHistory | None = None
        self.best = ""

    def begin_at(self, step: int, history: LossHistory) -> None:
        """The next step that comes is the one after it, also where later ones were told of before."""
        self._history = history
        self._bar.n = step
        self._bar.refresh()

    def __call__(self, rows: npt.NDArray[np.float32], *, learning_rate: float, seconds: float) -> None:
        assert self._history is not None, "it is told first where it begins"
        if not len(rows):
            return
        self._history.append(rows)
        pictures_per_s = len(rows) * self._batch / max(seconds, 1e-9)
        self._board.trained(rows, learning_rate=learning_rate, pictures_per_s=pictures_per_s)
        shown = [f"loss {float(rows[:, 1].mean()):.3f}", f"{pictures_per_s:.1f} pictures/s"]
        self._bar.set_postfix_str(", ".join([*shown, self.best] if self.best else shown), refresh=False)
        self._bar.update(len(rows))
        if self._on_step is not None:
            for step, total, *_ in rows:
                self._on_step(int(step), float(total))
