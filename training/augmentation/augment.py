"""All that an experiment asks for, done to one picture."""

import tensorflow as tf

from vigie.experiment import Augmentation
from vigie.resizing import Resize
from vigie.training.augmentation.draws import sometimes
from vigie.training.augmentation.geometry import crop, flip, scaled
from vigie.training.augmentation.photometric import blurred, coloured, jpeg_noise
from vigie.training.augmentation.windows import Annotated, fitted, sound

_CROP, _SCALE, _FLIP, _COLOUR, _BLUR, _JPEG = range(6)


def augment(
    image: tf.Tensor,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    seed: tf.Tensor,
    spec: Augmentation,
    height: int,
    width: int,
    resize: Resize = "stretch",
) -> Annotated:
    """A training picture and its boxes as `spec` has it, at the input size.

    Takes uint8 [h, w, 3] of any size, boxes float32 [n, 4], classes [n], a seed of two integers; `spec.mosaic` is
    `mosaic`'s, done before. Gives float32 [height, width, 3] of 0 to 255, and the boxes that are still seen, inside the
    picture and with an area. With all chances 0 it is only resized, by stretching or letterboxing it.

    Each operation has draws of its own: one switched on leaves what the others do to a picture as it was. What costs
    by the pixel comes after the resizing, where the picture is small and its size in pixels is the model's.
    """
    seeds = tf.random.split(seed, 6, alg="philox")
    boxes, classes = sound(boxes, classes)
    whole = image, boxes, classes
    image, boxes, classes = sometimes(
        spec.crop, seeds[_CROP], lambda: crop(*whole, seeds[_CROP], spec.crop_min_overlaps), lambda: whole
    )
    uncut = image, boxes, classes
    image, boxes, classes = sometimes(
        spec.scale,
        seeds[_SCALE],
        lambda: scaled(*uncut, seeds[_SCALE], spec.scale_min, spec.scale_max, height, width, resize),
        lambda: (*fitted(*uncut[:2], height, width, resize), uncut[2]),
    )
    image, boxes = _flipped(image, boxes, seeds[_FLIP], spec)
    # Single precision may have closed a box that was thinner than a thousandth of a pixel.
    return tf.ensure_shape(_distorted(image, seeds, spec), [height, width, 3]), *sound(boxes, classes)


def _flipped(image: tf.Tensor, boxes: tf.Tensor, seed: tf.Tensor, spec: Augmentation) -> tuple[tf.Tensor, tf.Tensor]:
    return sometimes(spec.flip, seed, lambda: flip(image, boxes), lambda: (image, boxes))


def _distorted(image: tf.Tensor, seeds: tf.Tensor, spec: Augmentation) -> tf.Tensor:
    """In the order of a camera: light, lens, codec."""
    sharp = sometimes(
        spec.colour,
        seeds[_COLOUR],
        lambda: coloured(image, seeds[_COLOUR], spec.colour_strength),
        lambda: image,
    )
    clean = sometimes(
        spec.blur, seeds[_BLUR], lambda: blurred(sharp, seeds[_BLUR], spec.blur_max_sigma_px), lambda: sharp
    )
    return sometimes(
        spec.jpeg, seeds[_JPEG], lambda: jpeg_noise(clean, seeds[_JPEG], spec.jpeg_min_quality), lambda: clean
    )
