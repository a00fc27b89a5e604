"""A piece of one picture put over another so that no edge tells where it was cut."""

import tensorflow as tf


def blended(image: tf.Tensor, copy: tf.Tensor, inner: tf.Tensor, whole: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
    """The uint8 picture with the copy, resized to `whole` (rows, columns), at `corner` (top, left) in pixels.

    All of the copy shows within `inner` (top, left, bottom, right, in its own pixels after resizing); from there it
    fades to nothing at its border.
    """
    rows, columns = tf.unstack(tf.cast(whole, tf.int32))
    patch = tf.image.resize(copy, [rows, columns], method="bilinear", antialias=True)
    fade = _ramp(rows, inner[0], inner[2])[:, None] * _ramp(columns, inner[1], inner[3])[None]
    top, left = tf.unstack(tf.cast(corner, tf.int32))
    under = tf.cast(image[top : top + rows, left : left + columns], tf.float32)
    mixed = tf.cast(tf.round(under + (patch - under) * fade[:, :, None]), tf.uint8)
    middle = tf.concat([image[top : top + rows, :left], mixed, image[top : top + rows, left + columns :]], axis=1)
    return tf.concat([image[:top], middle, image[top + rows :]], axis=0)


def _ramp(length: tf.Tensor, begin: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """1 from `begin` to `end`, falling to 0 at both ends of `length` pixels; where there is no margin it stays 1."""
    middles = tf.cast(tf.range(length), tf.float32) + 0.5
    after = tf.cast(length, tf.float32) - end
    rising = tf.where(begin >= 1, middles / tf.maximum(begin, 1), 1.0)
    falling = tf.where(after >= 1, (tf.cast(length, tf.float32) - middles) / tf.maximum(after, 1), 1.0)
    return tf.clip_by_value(tf.minimum(rising, falling), 0.0, 1.0)
