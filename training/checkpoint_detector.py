"""A run's newest checkpoint behind the Detector port."""

import numpy as np
import numpy.typing as npt

from vigie.anchors import Boxes
from vigie.data.quiet import quiet_tensorflow
from vigie.decoding import Scores
from vigie.raw_heads import RawHeadsDetector
from vigie.runs import Run

_BATCH = 8


def checkpoint_detector(run: Run, *, score_threshold: float = 0.5) -> RawHeadsDetector:
    """The detector as it is trained so far, also while the training runs or after it was interrupted.

    Raises:
        BadRun: no checkpoint, or one of another model than the run's experiment.
    """
    quiet_tensorflow()
    import tensorflow as tf  # noqa: PLC0415 - TensorFlow is quiet only when told before its import

    from vigie.training.config import decoder  # noqa: PLC0415
    from vigie.training.model import RAW_BOXES, SCORES, newest_checkpoint, raw_model  # noqa: PLC0415

    spec = run.experiment.model
    checkpoint = newest_checkpoint(run.checkpoints)
    model = raw_model(run.experiment, checkpoint)
    # One trace for every size of batch; a Keras model called eagerly is eight times slower.
    compiled = tf.function(
        lambda pixels: model(pixels, training=False),
        input_signature=[tf.TensorSpec((None, spec.input_height, spec.input_width, 3), tf.uint8)],
    )

    def heads(rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        outputs = compiled(tf.constant(rgb_u8))
        return outputs[RAW_BOXES].numpy(), outputs[SCORES].numpy()

    decoding = decoder(run.experiment, score_threshold=score_threshold)
    return RawHeadsDetector(heads, decoding, where=str(checkpoint), batch=_BATCH)
