"""TensorFlow's SavedModel, the file that TF Serving runs, in this process."""

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

SIGNATURE = "raw_heads"
"""Of the signatures in the file the one whose boxes our own decoder finds, as it does for every other file."""

INPUT = "pictures"
_BATCH = 8


@dataclass(frozen=True)
class Options:
    """Like those of `tflite`; `threads` is left to TensorFlow, which sets it once for the whole process."""

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
    heads = _SavedHeads(path, bundle)
    return RawHeadsDetector(heads, bundle.decoder(options.score_threshold), where=str(path), batch=_BATCH).tried()


class _SavedHeads:
    """The signature takes uint8 pixels and normalises them itself."""

    def __init__(self, path: Path, bundle: Bundle) -> None:
        try:
            self._model: Any = tf.saved_model.load(str(path.parent))  # held: the signature lives only as long as it
            signatures = self._model.signatures
        except (OSError, ValueError, AttributeError, tf.errors.OpError) as error:
            raise BadBundle(f"{path}: cannot be loaded by TensorFlow: {error}; export it again") from error
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
    expected = tf.TensorSpec((None, spec.height, spec.width, 3), tf.uint8, INPUT)
    found = signature.structured_input_signature[1]
    if list(found) != [INPUT] or not found[INPUT].is_compatible_with(expected):
        raise BadBundle(
            f"{path}: its {SIGNATURE} takes {_told(found)}, the manifest expects {_told({INPUT: expected})}; "
            "export it again"
        )


def _expect_outputs(signature: Any, path: Path, names: tuple[str, ...]) -> None:
    found = signature.structured_outputs
    if missing := [name for name in names if name not in found]:
        raise BadBundle(
            f"{path}: its {SIGNATURE} has the outputs {', '.join(sorted(found))}, the manifest expects "
            f"{', '.join(missing)}; export it again"
        )


def _told(tensors: Any) -> str:
    return ", ".join(f"{name} {one.shape} {one.dtype.name}" for name, one in tensors.items()) or "nothing"
