"""A network that runs, for `vigie.raw_heads`."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from vigie.anchors import Boxes
from vigie.decoding import Scores
from vigie.experiment import Experiment
from vigie.raw_heads import RawHeads
from vigie.training.network.model import RAW_BOXES, SCORES


def compiled_heads(experiment: Experiment, model: tf_keras.Model) -> RawHeads:
    """One trace for every size of batch; a Keras model called eagerly is eight times slower."""
    spec = experiment.model
    compiled = tf.function(
        lambda pixels: model(pixels, training=False),
        input_signature=[tf.TensorSpec((None, spec.input_height, spec.input_width, 3), tf.uint8)],
    )

    def heads(rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        outputs = compiled(tf.constant(rgb_u8))
        return outputs[RAW_BOXES].numpy(), outputs[SCORES].numpy()

    return heads
