"""A picture and its boxes seen through a window: cutting, resizing, and what becomes of the boxes."""

from typing import TypeAlias

import tensorflow as tf

from vigie.resizing import GREY, Resize

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


def size_at_input(size: tf.Tensor, height: int, width: int, resize: Resize) -> tf.Tensor:
    """Rows and columns in pixels, int32 [2], that a picture of `size` (rows, columns) has at the input.

    To the pixel what `vigie.resizing.InputSize.placement` says.
    """
    if resize == "stretch":
        return tf.constant([height, width])
    rows, columns = tf.unstack(tf.cast(size, tf.int64))
    rows_at_width = tf.maximum((2 * rows * width + columns) // (2 * columns), 1)
    columns_at_height = tf.maximum((2 * columns * height + rows) // (2 * rows), 1)
    widest = width * rows <= height * columns
    return tf.cast(
        tf.where(widest, tf.stack([rows_at_width, width]), tf.stack([height, columns_at_height])),
        tf.int32,
    )


def fitted(image: tf.Tensor, boxes: tf.Tensor, height: int, width: int, resize: Resize) -> tuple[tf.Tensor, tf.Tensor]:
    """The whole picture, float32 of the input size, as `vigie.resizing.resized` shows it at detection; its boxes."""
    if resize == "stretch":
        return stretched(image, height, width), boxes
    inner = size_at_input(tf.shape(image)[:2], height, width, resize)
    offset = (tf.constant([height, width]) - inner) // 2
    return on_grey(stretched(image, inner[0], inner[1]), boxes, offset, tf.constant([height, width]))


def shown(
    annotated: Annotated, share: tf.Tensor, extent_px: tf.Tensor, cut_draws: tf.Tensor, place_draws: tf.Tensor
) -> Annotated:
    """The picture at `share` of the height and width of `extent_px`, float32 of `extent_px`: where it is larger a part
    of it, where it is smaller all of it on grey. Which part, and where on the grey, say two draws in [0, 1) each.
    """
    image, boxes, classes = annotated
    size, extent = tf.cast(tf.shape(image)[:2], tf.float32), tf.cast(extent_px, tf.float32)
    window = tf.clip_by_value(tf.round(size / tf.maximum(share, 1)), 1, size)
    top_left = tf.floor(cut_draws * (size - window + 1))
    # Cut before it is resized, which costs less.
    seen, boxes, classes = cut(image, boxes, classes, tf.cast(tf.concat([top_left, window], axis=0), tf.int32))
    inner = tf.maximum(tf.round(extent * tf.minimum(share, 1)), 1)
    offset = tf.cast(tf.floor(place_draws * (extent - inner + 1)), tf.int32)
    rows_columns = tf.cast(inner, tf.int32)
    whole, boxes = on_grey(stretched(seen, rows_columns[0], rows_columns[1]), boxes, offset, extent_px)
    return whole, boxes, classes


def on_grey(
    image: tf.Tensor, boxes: tf.Tensor, offset_px: tf.Tensor, extent_px: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The picture with its top left corner at `offset_px` of grey that is `extent_px` (height, width) large."""
    size = tf.shape(image)[:2]
    padding = tf.concat([tf.stack([offset_px, extent_px - offset_px - size], axis=1), [[0, 0]]], axis=0)
    full = tf.cast(extent_px, tf.float32)
    moved = placed(boxes, tf.cast(offset_px, tf.float32) / full, tf.cast(size, tf.float32) / full)
    return tf.pad(image, padding, constant_values=float(GREY)), moved


def placed(boxes: tf.Tensor, top_left: tf.Tensor, extent: tf.Tensor) -> tf.Tensor:
    """Boxes of a picture that now fills `extent` (height, width) of a larger one from `top_left` on, all as shares."""
    return boxes * tf.tile(extent, [2]) + tf.tile(top_left, [2])
