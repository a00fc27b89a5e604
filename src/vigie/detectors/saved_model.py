"""TensorFlow's SavedModel, the file that TF Serving runs, in this process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vigie.anchors import Boxes
from vigie.bundle import OutputSpec, open_bundle
from vigie.decoding import Scores
from vigie.errors import BadBundle
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector

SIGNATURE = "serving_default"
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
    path = bundle.file(options.file or "saved_model.pb")
    heads = _SavedHeads(path, bundle.manifest.outputs)
    return RawHeadsDetector(heads, bundle.decoder(options.score_threshold), where=str(path), batch=_BATCH).tried()


class _SavedHeads:
    """The signature takes uint8 pixels and normalises them itself."""

    def __init__(self, path: Path, outputs: OutputSpec) -> None:
        try:
            self._model: Any = tf.saved_model.load(str(path.parent))  # held: the signature lives only as long as it
            self._run: Any = self._model.signatures[SIGNATURE]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise BadBundle(f"{path}: cannot be loaded by TensorFlow: {error}; export it again") from error
        self._outputs = outputs
        found = self._run.structured_outputs
        for name in (outputs.boxes, outputs.scores):
            if name not in found:
                raise BadBundle(
                    f"{path}: has the outputs {', '.join(sorted(found))}, the manifest expects {name}; export it again"
                )

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        outputs = self._run(**{INPUT: tf.constant(rgb_u8)})
        return outputs[self._outputs.boxes].numpy(), outputs[self._outputs.scores].numpy()
