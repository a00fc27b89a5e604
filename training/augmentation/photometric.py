"""What light, lens and codec do to the pixels; nothing moves. Pictures are float32 [h, w, 3] of 0 to 255."""

import math

import tensorflow as tf

from vigie.training.augmentation.draws import uniform

_SMALLEST_SIGMA_PX = 0.1
_BEST_JPEG_QUALITY = 95


def coloured(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Brightness, contrast, saturation and hue, in this order (SSD, Howard's photometric distortions).

    Brightness moves by up to `strength` / 2 of the range, contrast and saturation are multiplied by 1 - `strength` to
    1 + `strength`, hue turns by up to `strength` / 4 of the circle: at .2 hue and brightness change about as much as in
    SSD's own training (18 degrees, 32 of 255).
    """
    brightness = uniform(seed, 1, [], -strength / 2, strength / 2)
    contrast = uniform(seed, 2, [], 1 - strength, 1 + strength)
    saturation = uniform(seed, 3, [], 1 - strength, 1 + strength)
    hue = uniform(seed, 4, [], -strength / 4, strength / 4)
    unit = tf.image.adjust_contrast(image / 255 + brightness, contrast)
    # Hue and saturation are defined for colours that exist.
    unit = tf.image.adjust_hue(tf.image.adjust_saturation(tf.clip_by_value(unit, 0.0, 1.0), saturation), hue)
    return tf.clip_by_value(unit * 255, 0.0, 255.0)


def blurred(image: tf.Tensor, seed: tf.Tensor, max_sigma_px: float) -> tf.Tensor:
    """Gaussian blur with a sigma of up to `max_sigma_px`; the border is mirrored, not darkened."""
    sigma = uniform(seed, 1, [], _SMALLEST_SIGMA_PX, max(max_sigma_px, _SMALLEST_SIGMA_PX))
    radius = math.ceil(3 * max_sigma_px)
    weights = tf.exp(-tf.square(tf.range(-radius, radius + 1, dtype=tf.float32) / sigma) / 2)
    kernel = tf.tile((weights / tf.reduce_sum(weights))[:, None, None, None], [1, 1, 3, 1])
    wide = tf.pad(image, [[radius, radius], [radius, radius], [0, 0]], mode="SYMMETRIC")[None]
    rows = tf.nn.depthwise_conv2d(wide, kernel, strides=[1, 1, 1, 1], padding="VALID")
    both = tf.nn.depthwise_conv2d(rows, tf.transpose(kernel, [1, 0, 2, 3]), strides=[1, 1, 1, 1], padding="VALID")
    return tf.clip_by_value(tf.reshape(both, tf.shape(image)), 0.0, 255.0)


def jpeg_noise(image: tf.Tensor, seed: tf.Tensor, min_quality: int) -> tf.Tensor:
    """Encoded and decoded as JPEG at a quality drawn between `min_quality` and 95, both included."""
    drawn = tf.floor(uniform(seed, 1, [], min_quality, _BEST_JPEG_QUALITY + 1))
    quality = tf.minimum(tf.cast(drawn, tf.int32), _BEST_JPEG_QUALITY)
    noisy = tf.image.adjust_jpeg_quality(tf.cast(tf.round(image), tf.uint8), quality)
    return tf.cast(noisy, tf.float32)
