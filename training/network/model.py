"""The detector's network: images in, raw boxes and scores out, in the order of `vigie.anchors`."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras
from official.vision.modeling import backbones, decoders, factory
from official.vision.ops import preprocess_ops

from vigie.errors import BadRun
from vigie.experiment import Experiment
from vigie.training.network.config import task_config

PIXEL_MEAN_RGB: tuple[float, float, float] = preprocess_ops.MEAN_RGB
"""What the training subtracts from pixels of 0 to 255, ImageNet's mean."""
PIXEL_STD_RGB: tuple[float, float, float] = preprocess_ops.STDDEV_RGB
"""What it then divides by."""

RAW_BOXES = "raw_boxes"
SCORES = "scores"
BEST_FOLDER = "best"
"""In a run's checkpoints, the weights with the best mAP on validation."""


def build_network(experiment: Experiment) -> tf_keras.Model:
    """Model Garden's RetinaNet of this experiment, with all its variables, untrained.

    In: normalised RGB, B x height x width x 3. Out: `cls_outputs` and `box_outputs`, by level ("3" and so on) B x rows
    x columns x (anchors a cell * (classes + 1)) logits, column 0 is background, and B x rows x columns x (anchors a
    cell * 4). Its parts are `backbone`, `decoder` (the feature pyramid) and `head`.

    MobileNetV2's last convolution, from 320 to 1280 channels, feeds a classifier of pictures and nothing here: the
    backbone ends before it, with 51 convolutions. All else has the names in a checkpoint that Model Garden gives it.
    """
    config = task_config(experiment).model
    pixels = tf_keras.layers.InputSpec(shape=[None, *config.input_size])
    whole = backbones.factory.build_backbone(pixels, config.backbone, config.norm_activation)
    backbone = tf_keras.Model(
        whole.inputs, {level: whole.output[level] for level in whole.output_specs}, name="backbone"
    )
    pyramid = decoders.factory.build_decoder(whole.output_specs, config)
    network = factory.build_retinanet(pixels, config, backbone=backbone, decoder=pyramid)
    network(tf.zeros((1, *config.input_size)), training=False)
    return network


def inference_model(
    experiment: Experiment, network: tf_keras.Model, *, normalised_input: bool = False
) -> tf_keras.Model:
    """A network for inference, as `raw_model` says; the two share their weights, also those that come later.

    It computes in the network's precision, and gives float32.
    """
    spec = experiment.model
    pixels = tf_keras.Input((spec.input_height, spec.input_width, 3), dtype=tf.float32, name="pixels")
    normalised = pixels if normalised_input else (pixels - PIXEL_MEAN_RGB) / PIXEL_STD_RGB
    logits, boxes, _ = network.head(network.decoder(network.backbone(normalised, training=False)))
    return tf_keras.Model(pixels, raw_outputs(experiment, logits, boxes), name="detector")


def raw_outputs(experiment: Experiment, logits: Mapping[str, Any], boxes: Mapping[str, Any]) -> dict[str, Any]:
    """What the heads give by level ("3" and so on), joined in the order of the anchors, as `raw_model` says."""
    grid = experiment.model.grid
    levels = [str(level) for level in range(grid.min_level, grid.max_level + 1)]
    classes = len(experiment.classes) + 1
    return {
        RAW_BOXES: _joined([boxes[level] for level in levels], 4),
        SCORES: tf.sigmoid(_joined([logits[level] for level in levels], classes))[..., 1:],
    }


def raw_model(experiment: Experiment, weights: Path, *, normalised_input: bool = False) -> tf_keras.Model:
    """The trained network, for inference.

    In: RGB pixels 0 to 255, uint8 or float32, B x height x width x 3; with `normalised_input` float32 pixels from
    which PIXEL_MEAN_RGB was subtracted and which were divided by PIXEL_STD_RGB.
    Out: `raw_boxes` B x N x 4 (dy, dx, dh, dw, times the decoder's box weights) and `scores` B x N x C,
    the probabilities of the classes without background; float32, N in the order of `vigie.anchors.anchors_yxyx_px`.

    `weights` is a folder of checkpoints, of which the newest counts, or one checkpoint's path without its ending.

    Raises:
        BadRun: no checkpoint there, or one of another model.
    """
    network = restored_network(experiment, weights)
    with _single_precision():
        return inference_model(experiment, network, normalised_input=normalised_input)


def newest_checkpoint(weights: Path) -> Path:
    """The path, without its ending, of what counts in a folder: its best weights, else its newest checkpoint.

    Of the path of one checkpoint it is that one.

    Raises:
        BadRun: there is none.
    """
    if weights.with_name(weights.name + ".index").is_file():
        return weights
    for folder in (weights / BEST_FOLDER, weights):
        found = tf.train.latest_checkpoint(str(folder)) if folder.is_dir() else None
        if found is not None:
            return Path(found)
    raise BadRun(f"{weights}: holds no checkpoint; train first with `make train` or notebook 02_train")


def restored_network(experiment: Experiment, weights: Path) -> tf_keras.Model:
    """As `build_network`, in float32, with trained weights; `weights` and what is raised as `raw_model` says."""
    checkpoint = newest_checkpoint(weights)
    spec = experiment.model
    with _single_precision():
        model = build_network(experiment)
    try:
        status = tf.train.Checkpoint(model=model).read(str(checkpoint))
        status.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        raise BadRun(
            f"{checkpoint}: does not fit the experiment {experiment.name!r} with {len(experiment.classes)} classes at "
            f"{spec.input_width}x{spec.input_height}: {str(error).splitlines()[0]}; train again"
        ) from error
    return model


@contextlib.contextmanager
def _single_precision() -> Iterator[None]:
    """What is deployed computes in float32 whatever trained it; the policy is TensorFlow's, for all that is built."""
    trained = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        tf_keras.mixed_precision.set_global_policy(trained)


def _joined(levels: Sequence[tf.Tensor], columns: int) -> tf.Tensor:
    """B x rows x columns x (anchors a cell * `columns`) of each level -> float32 B x anchors x `columns`."""
    flat = [tf.reshape(level, (-1, math.prod(level.shape[1:]) // columns, columns)) for level in levels]
    return tf.cast(tf.concat(flat, axis=1), tf.float32)
