"""An object of a rare class made of two common ones: the upper part of one, the lower part of the other.

A mask that slipped below the nose looks like a bare face with the lower part of a masked one. As in CutMix (Yun et
al., arXiv:1905.04899) a part of one example stands in another; here the two parts together are a class of their own,
and both are of one picture, with the same light and the same camera.
"""

from typing import NamedTuple

import tensorflow as tf

from vigie.training.augmentation.blending import blended
from vigie.training.augmentation.draws import uniform
from vigie.training.augmentation.windows import Annotated, sound

_SMALLEST_PX = 12.0  # of an object's shorter side: of a smaller one no part can be told
_MOST_APART = 2.0  # times as wide may one be as the other
_COVERED_FROM = (0.55, 0.8)  # share of the upper object's height from which on it is covered
_TAKEN_FROM = (0.42, 0.52)  # share of the lower object's height from which on it is taken
_FADE = (0.12, 0.1, 0.06, 0.1)  # share of the part on which it fades: top, left, bottom, right


class CompositeIds(NamedTuple):
    """Class ids."""

    upper: int
    lower: int
    makes: int


def composite(picture: Annotated, ids: CompositeIds, seed: tf.Tensor) -> Annotated:
    """The uint8 picture with one object of class `upper`, drawn by lot, that is one of class `makes` now.

    From a height on between 55 and 80 % of its box it shows the lower half of an object of class `lower` that is at
    most twice as wide or half as wide; mirrored half the time. Nothing is changed where the picture has no such two of
    at least 12 pixels each.
    """
    image, (boxes, classes) = picture[0], sound(*picture[1:])
    size = tf.cast(tf.tile(tf.shape(image)[:2], [2]), tf.float32)
    corners = tf.round(boxes * size)
    sides = corners[:, 2:] - corners[:, :2]
    large = tf.reduce_min(sides, axis=1) >= _SMALLEST_PX
    ratio = sides[None, :, 1] / tf.maximum(sides[:, None, 1], 1)
    alike = tf.logical_and(ratio <= _MOST_APART, ratio >= 1 / _MOST_APART)
    upper, lower = (tf.logical_and(large, classes == one) for one in (ids.upper, ids.lower))
    pairs = tf.where(tf.logical_and(alike, tf.logical_and(upper[:, None], lower[None])))
    count = tf.shape(pairs)[0]

    def made() -> Annotated:
        drawn = tf.cast(uniform(seed, 1, []) * tf.cast(count, tf.float32), tf.int32)
        first, second = tf.unstack(pairs[tf.minimum(drawn, count - 1)])
        changed = tf.one_hot(first, tf.shape(classes)[0], on_value=True, off_value=False)
        named = tf.where(changed, tf.cast(ids.makes, classes.dtype), classes)
        return _covered(image, corners[first], corners[second], seed), boxes, named

    either: Annotated = tf.cond(count > 0, made, lambda: (image, boxes, classes))
    return either


def _covered(image: tf.Tensor, upper: tf.Tensor, lower: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """`upper` and `lower` are corners in whole pixels."""
    covered, taken = upper[0] + _part(upper, seed, 2, _COVERED_FROM), lower[0] + _part(lower, seed, 3, _TAKEN_FROM)
    top, left, bottom, right = tf.unstack(tf.cast(tf.concat([[taken], lower[1:]], axis=0), tf.int32))
    part = image[top:bottom, left:right]
    part = tf.cond(uniform(seed, 4, []) < 0.5, lambda: tf.reverse(part, [1]), lambda: part)
    whole = tf.stack([upper[2] - covered, upper[3] - upper[1]])
    margin = tf.constant(_FADE) * tf.tile(whole, [2])
    inner = tf.concat([margin[:2], whole - margin[2:]], axis=0)
    return blended(image, part, inner, whole, tf.stack([covered, upper[1]]))


def _part(corners: tf.Tensor, seed: tf.Tensor, number: int, shares: tuple[float, float]) -> tf.Tensor:
    """Whole pixels."""
    return tf.floor((corners[2] - corners[0]) * uniform(seed, number, [], *shares))
