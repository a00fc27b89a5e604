"""TensorFlow's SavedModel, the file that TF Serving runs, in this process."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vigie.anchors import Boxes
from vigie.bundle import SAVED_MODEL, Bundle, open_bundle
from vigie.decoding import Scores
from vigie.errors import BadBundle
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector

logger = logging.getLogger(__name__)

SIGNATURE = "raw_heads"
"""Of the signatures in the file the one whose boxes our own decoder finds, as it does for every other file."""

INPUT = "pictures"
_BATCH = 8


@dataclass(frozen=True)
class Options:
    """Like those of `tflite`; the `threads` hold for the whole process, of the first model that runs in it."""

    model: Path
    file: str | None = None
    threads: int = 2
    score_threshold: float | None = None


def build(options: Options) -> Detector:
    """Load the model and run it once.

    Raises:
        BadBundle: the bundle or its model is broken, or the two do not fit each other.
    """
    bundle = open_bundle(options.model)
    path = bundle.file(options.file or SAVED_MODEL)
    _use_threads(options.threads)
    heads = _SavedHeads(path, bundle)
    return RawHeadsDetector(heads, bundle.decoder(options.score_threshold), where=str(path), batch=_BATCH).tried()


def _use_threads(threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        # The branches of the graph run beside each other: with one thread for them it takes a third longer.
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        logger.debug("TensorFlow runs already, with the threads that it has: not %d", threads)


class _SavedHeads:
    """The signature takes uint8 pixels and normalises them itself."""

    def __init__(self, path: Path, bundle: Bundle) -> None:
        try:
            self._model: Any = tf.saved_model.load(str(path.parent))  # held: the signature lives only as long as it
            signatures = self._model.signatures
        except (OSError, ValueError, AttributeError, tf.errors.OpError) as error:
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadBundle(f"{path}: cannot be loaded by TensorFlow: {told}; export it again") from error
        if SIGNATURE not in signatures:
            raise BadBundle(
                f"{path}: has the signatures {', '.join(sorted(signatures)) or '(none)'}, this needs {SIGNATURE}; "
                "export it again"
            )
        self._run: Any = signatures[SIGNATURE]
        _expect_the_pictures(self._run, path, bundle)
        self._outputs = bundle.manifest.outputs
        _expect_outputs(self._run, path, (self._outputs.boxes, self._outputs.scores))

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        outputs = self._run(**{INPUT: tf.constant(rgb_u8)})
        return outputs[self._outputs.boxes].numpy(), outputs[self._outputs.scores].numpy()


def _expect_the_pictures(signature: Any, path: Path, bundle: Bundle) -> None:
    spec = bundle.manifest.input
    found = _told(signature.structured_input_signature[1])
    expected = _told({INPUT: tf.TensorSpec((None, spec.height, spec.width, 3), tf.uint8)})
    if found != expected:
        raise BadBundle(f"{path}: its {SIGNATURE} takes {found}, the manifest expects {expected}; export it again")


def _expect_outputs(signature: Any, path: Path, names: tuple[str, ...]) -> None:
    found = signature.structured_outputs
    if missing := [name for name in names if name not in found]:
        raise BadBundle(
            f"{path}: its {SIGNATURE} has the outputs {', '.join(sorted(found))}, the manifest expects "
            f"{', '.join(missing)}; export it again"
        )


def _told(tensors: Any) -> str:
    return ", ".join(f"{name} {one.shape} {one.dtype.name}" for name, one in tensors.items()) or "nothing"
