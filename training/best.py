"""The best validation so far, and when to give up waiting for a better one."""

import json
import math
from pathlib import Path

import tensorflow as tf

from vigie.training.checkpoints import write_best
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.network.model import BEST_FOLDER
from vigie.whole import write_whole

BEST_FILE = "best.json"


class BestSoFar(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Saved with the training's checkpoints, so that a training that goes on knows what it has to beat."""

    def __init__(self) -> None:
        super().__init__(name="best_so_far")
        self._mean_ap = tf.Variable(-1.0, trainable=False, dtype=tf.float64)
        self._step = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._without_better = tf.Variable(0, trainable=False, dtype=tf.int64)

    @property
    def mean_ap(self) -> float:
        """-1 before the first validation."""
        return float(self._mean_ap.numpy())

    @property
    def step(self) -> int:
        return int(self._step.numpy())

    @property
    def without_better(self) -> int:
        """Validations since the best one."""
        return int(self._without_better.numpy())

    def judge(self, step: int, mean_ap: float) -> bool:
        """Note a validation; whether it is better than all before."""
        if math.isnan(mean_ap) or mean_ap <= self.mean_ap:
            self._without_better.assign_add(1)
            return False
        self._mean_ap.assign(mean_ap)
        self._step.assign(step)
        self._without_better.assign(0)
        return True

    def __str__(self) -> str:
        return f"best mAP {self.mean_ap:.3f} at {self.step}" if self.step else ""


def keep_best(checkpoints: Path, weights: tf.train.Checkpoint, step: int, evaluation: Evaluation) -> None:
    """Make these weights the ones in best/, with what they reached.

    Raises:
        Unavailable: they cannot be written.
    """
    folder = checkpoints / BEST_FOLDER
    write_best(folder, weights, step)
    values = {"step": step, "mAP": evaluation.coco["mAP"], "mAP50": evaluation.coco["mAP50"]}
    write_whole(folder / BEST_FILE, json.dumps(values, indent=1) + "\n")
