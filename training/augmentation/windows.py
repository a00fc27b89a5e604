"""A picture and its boxes seen through a window: cutting, and what becomes of the boxes."""

from typing import TypeAlias

import tensorflow as tf

Annotated: TypeAlias = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""Picture [h, w, 3], boxes [n, 4] float32, classes [n]; n may be 0."""


def sound(boxes: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Clipped to the picture; boxes without an area inside it are dropped."""
    clipped = tf.clip_by_value(boxes, 0.0, 1.0)
    kept = tf.reduce_all(clipped[:, 2:] > clipped[:, :2], axis=1)
    return tf.boolean_mask(clipped, kept), tf.boolean_mask(classes, kept)


def with_centre_in(boxes: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """Whose centres lie in which windows, bool [windows, boxes]; both [n, 4] as shares of the same picture."""
    centres = (boxes[None, :, :2] + boxes[None, :, 2:]) / 2
    return tf.reduce_all((centres >= windows[:, None, :2]) & (centres < windows[:, None, 2:]), axis=2)


def cut(image: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor, window_px: tf.Tensor) -> Annotated:
    """The window alone: top, left, height and width in whole pixels, int32, inside the picture.

    An object stays if its centre lies in the window, its box clipped to it (SSD, arXiv:1512.02325, section 2.2): at
    least half of it is seen along each side that the window cuts once.
    """
    top, left, height, width = tf.unstack(window_px)
    size = tf.cast(tf.tile(tf.shape(image)[:2], [2]), tf.float32)
    window = tf.cast(tf.stack([top, left, top + height, left + width]), tf.float32) / size
    kept = with_centre_in(boxes, window[None])[0]
    origin, extent = window[:2], window[2:] - window[:2]
    moved = (boxes - tf.tile(origin, [2])) / tf.tile(extent, [2])
    seen = tf.slice(image, [top, left, 0], [height, width, 3])
    return seen, *sound(tf.boolean_mask(moved, kept), tf.boolean_mask(classes, kept))


def stretched(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Float32 of this size, the aspect ratio given up.

    Bilinear without antialiasing, as Model Garden's parser resizes the validation pictures and as
    `vigie.resizing.stretched` resizes at detection: training must not see smoother pictures than the cameras send.
    """
    return tf.cast(tf.image.resize(image, [height, width], method="bilinear", antialias=False), tf.float32)


def placed(boxes: tf.Tensor, top_left: tf.Tensor, extent: tf.Tensor) -> tf.Tensor:
    """Boxes of a picture that now fills `extent` (height, width) of a larger one from `top_left` on, all as shares."""
    return boxes * tf.tile(extent, [2]) + tf.tile(top_left, [2])
