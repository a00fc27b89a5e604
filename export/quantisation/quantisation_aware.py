"""Quantisation-aware training: where rounding to int8 costs too much, the weights learn to live with it.

After Jacob et al. 2018 (arXiv:1712.05877) and Krishnamoorthi 2018 (arXiv:1806.08342).
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from vigie.data.quiet import quiet_tensorflow
from vigie.runs import Run
from vigie.training.interruption import between_steps
from vigie.training.stale import discard_stale
from vigie.training.train import Trained

if TYPE_CHECKING:  # it imports TensorFlow, which has to be quietened first
    from vigie.export.files.raw_model import RawModel

STEPS = 300
"""Enough for what a few hundred steps mend; more bring little."""

_METHOD = "1"  # another where the same steps would give other weights


def quantisation_aware(run: Run, trained: Trained, *, steps: int = STEPS, folder: Path, progress: bool) -> "RawModel":
    """The run's best weights, trained on for some steps as an int8 file computes, as a model for `write_int8` alone.

    Of the validations on the way, the first before the first step, the best one's weights are taken. It learns from
    the training part, chooses by the validation part, and keeps what it needs to go on in `folder`: the same call
    after an interruption goes on, after its end it returns at once. What `folder` holds of another training is deleted.

    Raises:
        BadRun: the run's weights do not fit its experiment, or nothing in `folder` can be read.
        BadData: the records are missing.
        Unavailable: no space for a checkpoint.
        KeyboardInterrupt: somebody asked for an end; it was saved before.
    """
    quiet_tensorflow()
    # Here, for TensorFlow is quiet only when it is told so before its import.
    from vigie.export.quantisation.fine_tuning import FineTuning  # noqa: PLC0415

    discard_stale(folder, _key(trained, steps), "quantisation-aware training")
    with between_steps() as interruption:
        tuning = FineTuning(run, trained, steps, folder, progress=progress)
        tuning.run(interruption, progress=progress)
    return tuning.result()


def _key(trained: Trained, steps: int) -> str:
    return hashlib.sha256("\0".join((_METHOD, trained.key, str(trained.step), str(steps))).encode()).hexdigest()
