"""An object cut out of one picture and put onto another (Dwibedi et al., Cut, Paste and Learn, arXiv:1708.01642).

Made for rare classes: each copy stands in other surroundings and at another size, where repeating the picture shows the
same again. Kisantal et al. (arXiv:1902.07296) found the same for small objects.
"""

import tensorflow as tf

from vigie.training.augmentation.blending import blended
from vigie.training.augmentation.draws import uniform
from vigie.training.augmentation.windows import Annotated, sound

_MARGIN = 0.2  # of the object's sides, around it: there the copy fades out
_SMALLEST_PX = 8.0  # of the shorter side, of what is copied and of the copy
_LARGEST_ZOOM = 1.5  # more would show a blur that no camera makes
_SIZES = (0.7, 1.4)  # of the objects that are there already
_SHARES = (0.08, 0.25)  # of the picture's shorter side where there are none
_PLACES = 20
_MOST_COVERED = 0.05  # share of the smaller of two objects


def paste(picture: Annotated, donor: Annotated, favour: tf.Tensor, seed: tf.Tensor) -> Annotated:
    """The uint8 picture with one object of the donor, as large as its own ones are, where it covers none of them.

    Of the donor's objects one of the class with the highest `favour`, by class id, is drawn; mirrored half the time.
    Nothing is changed where the donor has none of at least 8 pixels, or no free place is found.
    """
    image, (boxes, classes) = picture[0], sound(*picture[1:])
    picture, donor = (image, boxes, classes), (donor[0], *sound(*donor[1:]))
    large = tf.boolean_mask(tf.range(tf.shape(donor[1])[0]), _shorter_px(donor[1], donor[0]) >= _SMALLEST_PX)
    changed: Annotated = tf.cond(
        tf.size(large) > 0,
        lambda: _pasted(picture, donor, _chosen(large, donor[2], favour, seed), seed),
        lambda: picture,
    )
    return changed


def _chosen(large: tf.Tensor, classes: tf.Tensor, favour: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    favours = tf.gather(favour, tf.gather(classes, large))
    best = tf.boolean_mask(large, favours >= tf.reduce_max(favours))
    return best[_below(uniform(seed, 1, []), tf.size(best))]


def _pasted(picture: Annotated, donor: Annotated, chosen: tf.Tensor, seed: tf.Tensor) -> Annotated:
    image, boxes, classes = picture
    copy, inner = _cut_out(donor[0], donor[1][chosen], seed)
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    extent = (inner[2:] - inner[:2]) * _zoom(inner, boxes, size, seed)
    whole = tf.maximum(tf.round(tf.cast(tf.shape(copy)[:2], tf.float32) * extent / (inner[2:] - inner[:2])), 1)
    scale = tf.tile(whole / tf.cast(tf.shape(copy)[:2], tf.float32), [2])
    inner = inner * scale  # in the resized copy
    corners = tf.floor(uniform(seed, 2, [_PLACES, 2]) * (size - whole + 1))
    places = (tf.tile(corners, [1, 2]) + inner) / tf.tile(size, [2])
    free = tf.logical_and(tf.reduce_all(whole <= size), _free(places, boxes))
    first = tf.argmax(free)
    changed: Annotated = tf.cond(
        free[first],
        lambda: (
            blended(image, copy, inner, whole, corners[first]),
            tf.concat([boxes, places[first][None]], axis=0),
            tf.concat([classes, donor[2][chosen][None]], axis=0),
        ),
        lambda: picture,
    )
    return changed


def _cut_out(image: tf.Tensor, box: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The object with a margin, and its box in that in pixels."""
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    corners = box * tf.tile(size, [2])
    margin = (corners[2:] - corners[:2]) * _MARGIN
    top_left = tf.floor(tf.maximum(corners[:2] - margin, 0))
    bottom_right = tf.math.ceil(tf.minimum(corners[2:] + margin, size))
    top, left = tf.unstack(tf.cast(top_left, tf.int32))
    bottom, right = tf.unstack(tf.cast(bottom_right, tf.int32))
    copy, inner = image[top:bottom, left:right], corners - tf.tile(top_left, [2])
    width = (bottom_right - top_left)[1]
    mirrored = tf.stack([inner[0], width - inner[3], inner[2], width - inner[1]])
    either: tuple[tf.Tensor, tf.Tensor] = tf.cond(
        uniform(seed, 3, []) < 0.5, lambda: (tf.reverse(copy, [1]), mirrored), lambda: (copy, inner)
    )
    return either


def _zoom(inner: tf.Tensor, boxes: tf.Tensor, size: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """To the size of one of the picture's own objects, more or less; a scalar."""
    draws = uniform(seed, 4, [3])
    sides = tf.sqrt(tf.reduce_prod((boxes[:, 2:] - boxes[:, :2]) * size, axis=1))
    low, high = _SHARES
    alone = (low + draws[0] * (high - low)) * tf.reduce_min(size)
    usual = tf.cond(tf.size(sides) > 0, lambda: sides[_below(draws[1], tf.size(sides))], lambda: alone)
    low, high = _SIZES
    wanted = usual * (low + draws[2] * (high - low))
    own = inner[2:] - inner[:2]
    return tf.clip_by_value(wanted / tf.sqrt(tf.reduce_prod(own)), _SMALLEST_PX / tf.reduce_min(own), _LARGEST_ZOOM)


def _free(places: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Which of the places cover no object and are covered by none, bool [places]."""
    top_left = tf.maximum(places[:, None, :2], boxes[None, :, :2])
    bottom_right = tf.minimum(places[:, None, 2:], boxes[None, :, 2:])
    shared = tf.reduce_prod(tf.maximum(bottom_right - top_left, 0), axis=2)
    smaller = tf.minimum(_areas(places)[:, None], _areas(boxes)[None])
    return tf.reduce_all(shared <= _MOST_COVERED * smaller, axis=1)


def _shorter_px(boxes: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    return tf.reduce_min((boxes[:, 2:] - boxes[:, :2]) * tf.cast(tf.shape(image)[:2], tf.float32), axis=1)


def _areas(boxes: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def _below(draw: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """A whole number from 0 to under `count`, from a draw in [0, 1)."""
    return tf.minimum(tf.cast(draw * tf.cast(count, tf.float32), tf.int32), count - 1)
