"""`vigie.pictures` as TensorFlow operations: encoded pictures to pixels, for a model that takes them as they come."""

from typing import Any

import tensorflow as tf

from vigie.pictures import MAX_PIXELS

_FIRST_BYTES = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "GIF": b"GIF8"}


def expect_pictures(encoded: Any, name: str) -> Any:
    """An operation that fails where one of the strings starts like no picture; it says which, counted from 0.

    TensorFlow's own error would not.
    """
    known = [_is(kind, encoded) for kind in _FIRST_BYTES]
    others = tf.reshape(tf.where(~tf.reduce_any(known, axis=0)), [-1])
    told = f"{name}: these places, counted from 0, are no {', '.join(_FIRST_BYTES)}:"
    return tf.debugging.Assert(tf.equal(tf.size(others), 0), [told, others], summarize=100)


def decoded(encoded: Any) -> Any:
    """One string that `expect_pictures` passed -> H x W x 3, uint8: what OpenCV decodes, but not turned by EXIF.

    Fails where it is broken, or where its header claims more than MAX_PIXELS: it is not decoded then.
    """
    size = _claimed_size(encoded)
    told = f"a picture of more than {MAX_PIXELS} pixels, width and height are"
    small = tf.debugging.Assert(tf.reduce_prod(size) <= MAX_PIXELS, [told, size])
    with tf.control_dependencies([small]):
        # It takes the other formats too.
        return tf.io.decode_jpeg(tf.identity(encoded), channels=3, dct_method="INTEGER_ACCURATE")


def _is(kind: str, encoded: Any) -> Any:
    return tf.strings.substr(encoded, 0, len(_FIRST_BYTES[kind])) == _FIRST_BYTES[kind]


def _claimed_size(encoded: Any) -> Any:
    """Width and height in the header, int64."""

    def numbers(start: int, length: int, kind: Any, *, little_endian: bool) -> Any:
        # A header that is cut short claims nothing here; decoding says what is wrong with it.
        part = tf.strings.substr(tf.strings.join([encoded, bytes(32)]), start, length)
        return tf.cast(tf.io.decode_raw(part, kind, little_endian=little_endian), tf.int64)

    def others() -> Any:
        png = numbers(16, 8, tf.int32, little_endian=False)
        return tf.where(_is("PNG", encoded), png, numbers(6, 4, tf.uint16, little_endian=True))

    return tf.cond(_is("JPEG", encoded), lambda: tf.cast(tf.image.extract_jpeg_shape(encoded)[1::-1], tf.int64), others)
