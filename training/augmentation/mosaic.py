"""Four pictures in one (Bochkovskiy et al., YOLOv4, arXiv:2004.10934)."""

from typing import TypeAlias

import tensorflow as tf

from vigie.resizing import Resize
from vigie.training.augmentation.draws import uniform
from vigie.training.augmentation.windows import Annotated, placed, shown, size_at_input

Four: TypeAlias = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
_CUT = (0.3, 0.7)  # where the four meet, as a share of each side
_SMALLEST_ZOOM = 0.5


def mosaic(
    images: Four,
    boxes: Four,
    classes: Four,
    seed: tf.Tensor,
    height: int,
    width: int,
    resize: Resize = "stretch",
) -> Annotated:
    """One uint8 picture of the input size: its quarters, of unequal size, show a part of each picture.

    A picture is shown between half and all of the size that it would have alone, stretched or letterboxed as there; of
    what does not fit into its quarter a random part is left out. Objects whose centre is left out are dropped. Around
    what is smaller than its quarter, as a letterboxed picture may be, is grey.
    """
    full = tf.constant([height, width], tf.float32)
    meeting = tf.round(full * uniform(seed, 1, [2], *_CUT))
    quarters = []
    for number in range(4):
        far = tf.constant([number // 2, number % 2], tf.float32)  # top left, top right, bottom left, bottom right
        extent = tf.where(far > 0, full - meeting, meeting)
        fills = size_at_input(tf.shape(images[number])[:2], height, width, resize)
        seen, kept, labels = _quarter(
            (images[number], boxes[number], classes[number]),
            uniform(seed, 2 + number, [5]),
            extent,
            tf.cast(fills, tf.float32) / extent,
        )
        quarters.append((seen, placed(kept, far * meeting / full, extent / full), labels))
    pixels, moved, names = zip(*quarters, strict=True)
    rows = [tf.concat(pixels[:2], axis=1), tf.concat(pixels[2:], axis=1)]
    whole = tf.ensure_shape(tf.concat(rows, axis=0), [height, width, 3])
    return tf.cast(tf.round(whole), tf.uint8), tf.concat(moved, axis=0), tf.concat(names, axis=0)


def _quarter(annotated: Annotated, draws: tf.Tensor, extent_px: tf.Tensor, share: tf.Tensor) -> Annotated:
    """A part of the picture, float32 of `extent_px`; `share` is the size that it would have alone, in such extents."""
    # No smaller than its quarter where it can be: it leaves no gap, and both sides have the same zoom.
    smallest = tf.maximum(_SMALLEST_ZOOM, tf.minimum(tf.reduce_max(1 / share), 1))
    zoom = smallest + draws[0] * (1 - smallest)
    return shown(annotated, share * zoom, tf.cast(extent_px, tf.int32), draws[1:3], draws[3:])
