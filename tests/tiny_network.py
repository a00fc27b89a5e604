"""A network of the form that Model Garden's RetinaNet has, small enough for many steps: 8 px, a few hundred weights."""

from typing import Any

import tensorflow as tf
import tf_keras


class TinyNetwork(tf_keras.Model):  # type: ignore[misc]
    """Backbone (with a layer that nothing uses), decoder and head; two levels."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _backbone()
        self.decoder = _decoder()
        self.head = _head()

    def call(self, images: tf.Tensor, training: bool | None = None) -> dict[str, Any]:
        levels = self.decoder(self.backbone(images, training=training), training=training)
        return self.head(levels, training=training)  # type: ignore[no-any-return]


def tiny_network(seed: int = 1) -> TinyNetwork:
    tf_keras.utils.set_random_seed(seed)
    network = TinyNetwork()
    network(tf.zeros((1, 8, 8, 3)), training=False)
    return network


def _backbone() -> tf_keras.Model:
    layers = tf_keras.layers
    pixels = tf_keras.Input((8, 8, 3))
    low = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem")(pixels)
    low = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9, name="stem_norm")(low))
    high = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="depthwise")(low)
    high = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9, name="depthwise_norm")(high))
    unused = layers.Conv2D(5, 1, name="unused")(high)
    return tf_keras.Model(pixels, {"2": low, "3": high, "4": unused}, name="backbone")


def _decoder() -> tf_keras.Model:
    low, high, unused = tf_keras.Input((4, 4, 4)), tf_keras.Input((2, 2, 4)), tf_keras.Input((2, 2, 5))
    outputs = {
        "2": tf_keras.layers.SeparableConv2D(4, 3, padding="same", name="lateral_2")(low),
        "3": tf_keras.layers.SeparableConv2D(4, 3, padding="same", name="lateral_3")(high),
    }
    model = tf_keras.Model({"2": low, "3": high, "4": unused}, outputs, name="fpn")
    model.output_specs = {level: tensor.shape for level, tensor in outputs.items()}
    return model


def _head() -> tf_keras.Model:
    levels = {"2": tf_keras.Input((4, 4, 4)), "3": tf_keras.Input((2, 2, 4))}
    classes, boxes = (
        tf_keras.layers.Conv2D(6, 3, padding="same", name="classes"),
        tf_keras.layers.Conv2D(8, 1, name="boxes"),
    )
    norm = tf_keras.layers.BatchNormalization(momentum=0.9, name="head_norm")
    outputs = {
        "cls_outputs": {level: classes(norm(features)) for level, features in levels.items()},
        "box_outputs": {level: boxes(features) for level, features in levels.items()},
    }
    return tf_keras.Model(levels, outputs, name="head")
