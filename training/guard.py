"""A watch over the losses: what counts as broken down, and whose pictures were there when it happened."""

import errno
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vigie.training import turns
from vigie.training.inputs import TrainingInputs

_NAMED = 12


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The first step whose loss is no number, infinite or above the bound; or after which what it learnt is that."""

    step: int
    loss: float
    weights_broken: bool = False

    def __str__(self) -> str:
        if self.weights_broken:
            return f"step {self.step}: after it some weights are no finite numbers"
        return f"step {self.step}: the loss is {self.loss:.4g}"


def first_breakdown(rows: npt.NDArray[np.float32], max_loss: float) -> Breakdown | None:
    """Of rows of step, total, class and box loss."""
    for step, total, *_ in rows:
        if not math.isfinite(total) or total > max_loss:
            return Breakdown(int(step), float(total))
    return None


def all_finite(variables: Sequence[tf.Variable]) -> bool:
    return all(bool(tf.reduce_all(tf.math.is_finite(one))) for one in variables if one.dtype.is_floating)


def lacks_space(error: OSError | tf.errors.OpError) -> bool:
    """Whether it is told that a disk is full, a quota is used up or a file may not grow."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return any(os.strerror(number) in error.message for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def some_of(pictures: Sequence[str]) -> str:
    """For a message; all of them stand in training.json."""
    more = f" and {len(pictures) - _NAMED} more" if len(pictures) > _NAMED else ""
    return ", ".join(pictures[:_NAMED]) + more


def undecodable(inputs: TrainingInputs, steps: range) -> list[str]:
    """The pictures of these steps that are none, by their file names."""
    found = [name for step in steps for name, encoded in turns.encoded(inputs, step) if not _decodes(encoded)]
    return list(dict.fromkeys(found))


def _decodes(encoded: bytes) -> bool:
    try:
        tf.io.decode_image(encoded, channels=3, expand_animations=False)
    except tf.errors.OpError:
        return False
    return True
