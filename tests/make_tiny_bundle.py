"""Make an untrained bundle whose scores are shifted so that it finds something on every cartoon."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.bundle import FP32, InputSpec, ModelFacts
from vigie.cartoons import LABELS, MovingScene
from vigie.decoding import Decoder
from vigie.export.files.saved_model import write_saved_model
from vigie.export.files.tflite import write_fp32
from vigie.export.publishing import new_staging, write_bundle
from vigie.resizing import normalised, stretched

ANCHORS = AnchorSpec(min_level=3, max_level=5)
INPUT = InputSpec(width=96, height=96, mean_rgb=(120.0, 115.0, 105.0), std_rgb=(60.0, 60.0, 60.0))
DECODER = Decoder(
    labels=LABELS,
    input_width=INPUT.width,
    input_height=INPUT.height,
    anchors=anchors_yxyx_px(ANCHORS, INPUT.width, INPUT.height),
    score_threshold=0.01,
)


def untrained_heads() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(7)
    inputs = layer = tf_keras.Input((INPUT.height, INPUT.width, 3))
    boxes, logits = [], []
    for level in range(1, ANCHORS.max_level + 1):
        layer = tf_keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu6")(layer)
        if level >= ANCHORS.min_level:
            small = tf_keras.layers.Conv2D(ANCHORS.per_cell * 4, 1, kernel_initializer="glorot_normal")(layer)
            boxes.append(tf_keras.layers.Reshape((-1, 4))(small))
            columns = tf_keras.layers.Conv2D(ANCHORS.per_cell * len(LABELS), 1)(layer)
            logits.append(tf_keras.layers.Reshape((-1, len(LABELS)))(columns))
    join = tf_keras.layers.Concatenate(axis=1)
    return tf_keras.Model(inputs, {"raw_boxes": join(boxes), "logits": join(logits)})


def with_finds(heads: tf_keras.Model) -> Any:
    """Sigmoid scores of which at least one a cartoon is over .5, for they are steep and shifted by what it takes."""
    frames = [MovingScene(seed, 320, 240, 3).at(40 * seed)[0] for seed in range(12)]
    pictures = np.stack([stretched(frame, INPUT.width, INPUT.height) for frame in frames])
    logits = heads(normalised(pictures, INPUT.mean_rgb, INPUT.std_rgb))["logits"].numpy()
    logits -= (typical := logits.mean(axis=0))  # what the place alone says
    shift = np.sort(logits.reshape(len(logits), -1), axis=1)[:, -12].min()
    scores = tf.sigmoid(4 * (heads.output["logits"] - typical - shift))
    return tf_keras.Model(heads.input, {"raw_boxes": heads.output["raw_boxes"], "scores": scores})


def main(out: Path) -> None:
    model = with_finds(untrained_heads())
    staged = new_staging(out)
    write_saved_model(model, staged, INPUT, DECODER)
    write_fp32(model, staged / FP32, INPUT)
    facts = ModelFacts(
        default=FP32,
        labels=LABELS,
        input=INPUT,
        anchors=ANCHORS,
        data_hash="none",
        training_key="untrained",
        code="test",
        trial_source="synthetic:seed=1007",
        step=0,
    )
    write_bundle(staged, out, facts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
