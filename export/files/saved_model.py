"""TensorFlow's SavedModel: what TF Serving runs, and programs of other people.

Signatures:

`serving_default`  uint8 `pictures` B x H x W x 3 of any one size -> detections
`serving_jpeg`     strings `jpegs` B, encoded pictures of any sizes -> detections
`raw_heads`        uint8 `pictures` B x H x W x 3 of the input's size -> raw boxes B x N x 4, scores B x N x C: what the
                   gate compares and our own runtimes decode

Detections carry the names of the TF Object Detection API, K = `Decoder.max_detections` rows a picture, best first:

`detection_boxes`    B x K x 4, float32: top, left, bottom, right in 0 to 1 of the picture as it came
`detection_scores`   B x K, float32
`detection_classes`  B x K, int64: index into labels.txt, from 0
`detection_labels`   B x K, strings
`num_detections`     B, int32; rows past it are zero or empty

They are those of `vigie.decoding.Decoder`, with its thresholds and its suppression a class.
"""

from pathlib import Path
from typing import Any

import tensorflow as tf

from vigie.bundle import InputSpec
from vigie.decoding import LARGEST_LOG_SIZE, Decoder
from vigie.export.files.graph_pictures import decoded, expect_pictures
from vigie.export.files.graph_resizing import placed, placement
from vigie.export.files.native_noise import native_noise_held
from vigie.export.files.raw_model import INPUT, RawModel, holder, named

PICTURES_SIGNATURE = "serving_default"
JPEG_SIGNATURE = "serving_jpeg"
RAW_SIGNATURE = "raw_heads"
JPEG_INPUT = "jpegs"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"

_NO_CANDIDATE = -1.0


def write_saved_model(model: RawModel, folder: Path, spec: InputSpec, decoder: Decoder) -> None:
    """Write saved_model.pb and variables/ into `folder`, TF Serving's version folder.

    A picture is decoded and resized inside as OpenCV does it, to the bit. `serving_jpeg` takes JPEG, PNG and GIF of one
    picture, in grey or in colours. It does not turn a picture by its EXIF orientation, as TensorFlow has no
    operation for that: boxes lie in the picture as it is stored. A string that is no picture, or claims to be a giant,
    fails its whole request, with an error that names its place in the batch or its size.
    """
    heads = _heads(model, spec)
    found = _found(heads, decoder)

    def of_pictures(pictures: Any) -> Any:
        place = placement(tf.shape(pictures)[1], tf.shape(pictures)[2], spec)
        return found(placed(pictures, place, spec), tf.repeat(place[tf.newaxis], tf.shape(pictures)[0], axis=0))

    def of_jpegs(jpegs: Any) -> Any:
        with tf.control_dependencies([expect_pictures(jpegs, JPEG_INPUT)]):
            jpegs = tf.identity(jpegs)
        inputs, places = tf.map_fn(
            lambda jpeg: _decoded_and_placed(jpeg, spec),
            jpegs,
            fn_output_signature=(_input_of(spec, batch=False), tf.TensorSpec((4,), tf.int32)),
        )
        return found(inputs, places)

    any_strings = tf.TensorSpec((None,), tf.string, JPEG_INPUT)
    any_size = tf.TensorSpec((None, None, None, 3), tf.uint8, INPUT)
    signatures = {
        PICTURES_SIGNATURE: tf.function(of_pictures, input_signature=[any_size], autograph=False),
        JPEG_SIGNATURE: tf.function(of_jpegs, input_signature=[any_strings], autograph=False),
        RAW_SIGNATURE: heads,
    }
    with native_noise_held():
        tf.saved_model.save(holder(model, found, *signatures.values()), str(folder), signatures=signatures)


def _input_of(spec: InputSpec, *, batch: bool) -> Any:
    shape = (spec.height, spec.width, 3)
    return tf.TensorSpec((None, *shape) if batch else shape, tf.uint8, INPUT)


def _heads(model: RawModel, spec: InputSpec) -> Any:
    """Traced once: all signatures call this one, so that the network lies in the file once."""
    mean, std = tf.constant(spec.mean_rgb, tf.float32), tf.constant(spec.std_rgb, tf.float32)

    def heads(pictures: Any) -> dict[str, Any]:
        return named(model((tf.cast(pictures, tf.float32) - mean) / std, training=False))

    return tf.function(heads, input_signature=[_input_of(spec, batch=True)], autograph=False)


def _decoded_and_placed(jpeg: Any, spec: InputSpec) -> tuple[Any, Any]:
    picture = decoded(jpeg)
    place = placement(tf.shape(picture)[0], tf.shape(picture)[1], spec)
    return placed(picture[tf.newaxis], place, spec)[0], place


def _found(heads: Any, decoder: Decoder) -> Any:
    """Pictures of the input's size, and where in it each one lies -> detections."""
    anchors = tf.constant(decoder.anchors)
    thresholds = tf.constant([decoder.thresholds.get(label, decoder.score_threshold) for label in decoder.labels])

    def found(inputs: Any, places: Any) -> dict[str, Any]:
        some = tf.debugging.Assert(tf.shape(inputs)[0] > 0, ["there is no picture in the batch"])
        with tf.control_dependencies([some]):
            raw = heads(tf.identity(inputs))
        scores = tf.transpose(raw["scores"], (0, 2, 1))
        scores = tf.where(scores >= thresholds[:, tf.newaxis], scores, _NO_CANDIDATE)
        # Of each label the best ones, decoded alone: B x C x candidates.
        scores, chosen = tf.math.top_k(scores, min(decoder.max_candidates, len(decoder.anchors)))
        raw_boxes = tf.gather(raw["raw_boxes"], chosen, batch_dims=1)
        boxes = _boxes(raw_boxes, tf.gather(anchors, chosen), places, decoder)
        return _suppressed(boxes, scores, decoder)

    any_batch = tf.TensorSpec((None, decoder.input_height, decoder.input_width, 3), tf.uint8)
    return tf.function(found, input_signature=[any_batch, tf.TensorSpec((None, 4), tf.int32)], autograph=False)


def _boxes(raw: Any, anchors: Any, places: Any, decoder: Decoder) -> Any:
    """`Decoder`'s decoding, to top, left, bottom and right in 0 to 1 of the original picture, clipped to it."""
    size = anchors[..., 2:] - anchors[..., :2]
    if decoder.coding == "corners":
        corners = anchors + raw * tf.concat([size, size], axis=-1)
    else:
        centre = anchors[..., :2] + size / 2 + raw[..., :2] / decoder.box_weights[:2] * size
        half = tf.exp(tf.minimum(raw[..., 2:] / decoder.box_weights[2:], LARGEST_LOG_SIZE)) * size / 2
        corners = tf.concat([centre - half, centre + half], axis=-1)
    places = tf.cast(places, tf.float32)[:, tf.newaxis, tf.newaxis]
    origin, inner = (tf.concat([pair, pair], axis=-1) for pair in (places[..., :2], places[..., 2:]))
    return tf.clip_by_value((corners - origin) / inner, 0.0, 1.0)


def _suppressed(boxes: Any, scores: Any, decoder: Decoder) -> dict[str, Any]:
    """Boxes B x C x candidates x 4 and their scores -> what stays of each label, best first."""
    with_area = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
    kept = tf.image.combined_non_max_suppression(
        tf.transpose(boxes, (0, 2, 1, 3)),
        tf.transpose(tf.where(with_area, scores, _NO_CANDIDATE), (0, 2, 1)),
        max_output_size_per_class=decoder.max_detections,
        max_total_size=decoder.max_detections,
        iou_threshold=decoder.nms_iou,
        score_threshold=_NO_CANDIDATE / 2,
        clip_boxes=False,
    )
    classes = tf.cast(kept.nmsed_classes, tf.int64)
    filled = tf.sequence_mask(kept.valid_detections, decoder.max_detections)
    return {
        "detection_boxes": kept.nmsed_boxes,
        "detection_scores": tf.minimum(kept.nmsed_scores, 1.0),
        "detection_classes": classes,
        "detection_labels": tf.where(filled, tf.gather(tf.constant(decoder.labels), classes), ""),
        "num_detections": kept.valid_detections,
    }


def write_warmup(folder: Path, jpeg: bytes) -> None:
    """Write what TF Serving runs before it takes a version into service, so that the first client waits no longer.

    `jpeg` is a typical picture: a request for each signature of encoded and of raw pictures, as TFRecord of
    tensorflow.serving.PredictionLog.
    """
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    pictures = decoded(tf.constant(jpeg))[tf.newaxis]
    requests = {PICTURES_SIGNATURE: (INPUT, pictures), JPEG_SIGNATURE: (JPEG_INPUT, tf.constant([jpeg]))}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, (name, tensor) in requests.items():
            writer.write(_prediction_log(signature, name, tf.make_tensor_proto(tensor).SerializeToString()))


def _prediction_log(signature: str, name: str, tensor: bytes) -> bytes:
    """By the field numbers of tensorflow_serving/apis/{prediction_log,predict,model}.proto, a package of its own.

    TF Serving asks the model that it loads, whatever its name: the request names none.
    """
    model_spec = _field(3, signature.encode())
    given = _field(1, name.encode()) + _field(2, tensor)
    request = _field(1, model_spec) + _field(2, given)
    return _field(6, _field(1, request))  # of a PredictionLog its predict_log, of that its request


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, a string or a message in the wire format of Protocol Buffers."""
    length, left = bytearray(), len(content)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    return bytes((number << 3 | 2, *length, left)) + content
