"""Where things stand in the picture: mirrored, cropped, larger or smaller."""

from collections.abc import Sequence

import tensorflow as tf

from vigie.resizing import Resize
from vigie.training.augmentation.draws import uniform
from vigie.training.augmentation.windows import Annotated, cut, shown, size_at_input, with_centre_in

_TRIES = 50
_CROP_AREA = (0.1, 1.0)  # of the picture's
_CROP_ASPECT = (0.5, 2.0)  # width to height, in pixels


def flip(image: tf.Tensor, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirrored, left to right."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=1)
    return tf.reverse(image, axis=[1]), tf.stack([ymin, 1 - xmax, ymax, 1 - xmin], axis=1)


def crop(
    image: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor, seed: tf.Tensor, min_overlaps: Sequence[float]
) -> Annotated:
    """SSD's random crop (Liu et al., arXiv:1512.02325, section 2.2).

    One of `min_overlaps` is drawn, then windows of a tenth to all of the picture's area and an aspect ratio of 1/2 to
    2. The first is taken that shows an object: its centre, and at least this share of its box. The overlap is that
    share, as in the TF Object Detection API's `ssd_random_crop` (min_object_covered), and not the paper's IoU: a
    window of a tenth of the picture never has an IoU of .1 with a face of a hundredth of it.

    Where no window of 50 does, the picture stays whole. One without objects is cropped freely.
    """
    size = tf.shape(image)[:2]
    candidates = _candidates(size, uniform(seed, 1, [_TRIES, 4]))
    shares = tf.cast(candidates, tf.float32) / tf.cast(tf.tile(size, [2]), tf.float32)
    windows = tf.concat([shares[:, :2], shares[:, :2] + shares[:, 2:]], axis=1)
    drawn = tf.cast(uniform(seed, 2, []) * len(min_overlaps), tf.int32)
    overlap = tf.constant(min_overlaps, tf.float32)[tf.minimum(drawn, len(min_overlaps) - 1)]
    shown = with_centre_in(boxes, windows) & (_covered(boxes, windows) >= overlap)
    inside = tf.reduce_all((candidates[:, :2] >= 0) & (candidates[:, 2:] > 0), axis=1)
    fits = inside & (tf.reduce_any(shown, axis=1) | (tf.shape(boxes)[0] == 0))
    first = candidates[tf.argmax(fits)]
    whole = tf.concat([[0, 0], size], axis=0)
    return cut(image, boxes, classes, tf.where(tf.reduce_any(fits), first, whole))


def _candidates(size: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Top, left, height and width in pixels, int32 [tries, 4], of four draws each; top or left is below 0 where a
    window is too large for the picture."""
    extent = tf.cast(size, tf.float32)
    area = (_CROP_AREA[0] + draws[:, 0] * (_CROP_AREA[1] - _CROP_AREA[0])) * tf.reduce_prod(extent)
    aspect = _CROP_ASPECT[0] + draws[:, 1] * (_CROP_ASPECT[1] - _CROP_ASPECT[0])
    window = tf.round(tf.stack([tf.sqrt(area / aspect), tf.sqrt(area * aspect)], axis=1))
    top_left = tf.floor(draws[:, 2:] * (extent - window + 1))
    return tf.cast(tf.concat([tf.where(window > extent, -1.0, top_left), window], axis=1), tf.int32)


def _covered(boxes: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """The share of each box that each window shows, float32 [windows, boxes]; boxes have an area."""
    corner = tf.maximum(boxes[None, :, :2], windows[:, None, :2])
    shown = tf.maximum(tf.minimum(boxes[None, :, 2:], windows[:, None, 2:]) - corner, 0)
    return tf.reduce_prod(shown, axis=2) / tf.reduce_prod(boxes[:, 2:] - boxes[:, :2], axis=1)[None]


def scaled(
    image: tf.Tensor,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    seed: tf.Tensor,
    smallest: float,
    largest: float,
    height: int,
    width: int,
    resize: Resize = "stretch",
) -> Annotated:
    """At the size that it has at the input times a factor drawn between `smallest` and `largest`; float32 of the input.

    As Model Garden's `resize_and_crop_image`, with two differences. A larger picture is cut before it is resized, which
    costs less; a smaller one lies anywhere on the grey ground and not always at the top left, lest the model learn
    where no object ever is.
    """
    factor = smallest + uniform(seed, 1, []) * (largest - smallest)
    extent = tf.constant([height, width])
    fills = size_at_input(tf.shape(image)[:2], height, width, resize) / extent
    share = tf.cast(fills, tf.float32) * factor
    drawn, boxes, classes = shown((image, boxes, classes), share, extent, uniform(seed, 2, [2]), uniform(seed, 3, [2]))
    return tf.ensure_shape(drawn, [height, width, 3]), boxes, classes
