"""A SavedModel finds by itself what our decoder finds, and stands as TF Serving wants it."""

import dataclasses
import functools
import io
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import needs
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from vigie.anchors import AnchorSpec, Boxes, anchors_yxyx_px
from vigie.bundle import InputSpec
from vigie.cartoons import LABELS, random_scene
from vigie.decoding import Decoder, Scores
from vigie.domain import Box, Detection
from vigie.errors import BadPicture
from vigie.pictures import Picture, Pixels, encode_jpeg
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import Resize
from vigie.runs import Run

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")

import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

from vigie.export.files.saved_model import write_saved_model, write_warmup

Outputs = Mapping[str, npt.NDArray[Any]]
NOTHING = (0, 0.0, b"", [0.0, 0.0, 0.0, 0.0])


@dataclasses.dataclass(frozen=True)
class Saved:
    """A SavedModel that was written and loaded again."""

    folder: Path
    model: Any
    decoder: Decoder

    def __call__(self, signature: str, **tensors: Any) -> Outputs:
        found = self.model.signatures[signature](**{name: tf.constant(value) for name, value in tensors.items()})
        return {name: value.numpy() for name, value in found.items()}

    def raw_heads(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        found = self("raw_heads", pictures=rgb_u8)
        return found["raw_boxes"], found["scores"]

    def by_our_decoder(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        """Decoded, resized, boxes found and suppressed outside TensorFlow."""
        entries = RawHeadsDetector(self.raw_heads, self.decoder, where="here", batch=8).detect(pictures)
        assert not [entry for entry in entries if isinstance(entry, BadPicture)]
        return entries  # type: ignore[return-value]


def saved(model: Any, folder: Path, spec: InputSpec, decoder: Decoder) -> Saved:
    write_saved_model(model, folder, spec, decoder)
    return Saved(folder, tf.saved_model.load(str(folder)), decoder)


@pytest.fixture(scope="module")
def saved_network(untrained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Resize], Saved]:
    """The real network, which finds much on everything."""
    from vigie.training.network.config import decoder
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB, raw_model

    model = raw_model(untrained_run.experiment, untrained_run.checkpoints, normalised_input=True)
    decoding = decoder(untrained_run.experiment, score_threshold=0.01)

    @functools.cache
    def of(resize: Resize) -> Saved:
        spec = InputSpec(width=96, height=64, resize=resize, mean_rgb=PIXEL_MEAN_RGB, std_rgb=PIXEL_STD_RGB)
        return saved(model, tmp_path_factory.mktemp(resize) / "1", spec, dataclasses.replace(decoding, resize=resize))

    return of


@pytest.fixture(params=["stretch", "letterbox"])
def network(request: pytest.FixtureRequest, saved_network: Callable[[Resize], Saved]) -> Saved:
    return saved_network(request.param)


@pytest.fixture
def stretching(saved_network: Callable[[Resize], Saved]) -> Saved:
    """Where the way of resizing changes nothing."""
    return saved_network("stretch")


def cartoon(seed: int, width: int, height: int) -> Pixels:
    return random_scene(seed, width, height, max_faces=3)[0]


def encoded(pixels: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, kind, **options)
    return out.getvalue()


def rows_of(outputs: Outputs, row: int, width: int, height: int) -> list[Detection]:
    """What a client reads; boxes to pixels of its picture."""
    names = ("detection_labels", "detection_scores", "detection_boxes")
    found = slice(int(outputs["num_detections"][row]))
    return [
        Detection(label.decode(), float(score), Box(left * width, top * height, right * width, bottom * height))
        for label, score, (top, left, bottom, right) in zip(*(outputs[name][row, found] for name in names), strict=True)
    ]


def same(one: Detection, other: Detection) -> bool:
    edges = [(getattr(one.box, edge), getattr(other.box, edge)) for edge in ("left", "top", "right", "bottom")]
    alike = one.label == other.label and abs(one.score - other.score) <= 1e-5
    return alike and all(abs(a - b) <= 0.01 for a, b in edges)


def assert_found(outputs: Outputs, expected: Sequence[Sequence[Detection]], sizes: Sequence[tuple[int, int]]) -> None:
    """`sizes` are (width, height) of the pictures as they came. Scores that differ by less may change places."""
    assert len(expected) == len(sizes) == len(outputs["num_detections"])
    for row, (entry, size) in enumerate(zip(expected, sizes, strict=True)):
        found = rows_of(outputs, row, *size)
        assert len(found) == len(entry)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        for place, one in enumerate(entry):
            near = found[max(0, place - 2) : place + 3]
            assert any(same(one, other) for other in near), (place, one, near)


def sizes_of(pictures: Sequence[Picture]) -> list[tuple[int, int]]:
    return [(one.width, one.height) for one in pictures]


def test_pictures_of_the_inputs_size_have_the_boxes_of_our_decoder(network: Saved) -> None:
    pixels = np.stack([cartoon(seed, 96, 64) for seed in range(12)])
    pictures = [Picture.from_pixels(one) for one in pixels]
    expected = network.by_our_decoder(pictures)
    assert min(map(len, expected)) > 10
    assert {one.label for entry in expected for one in entry} == set(LABELS)
    assert_found(network("serving_default", pictures=pixels), expected, sizes_of(pictures))


@pytest.mark.parametrize(("width", "height"), [(320, 80), (60, 200), (640, 480), (33, 400), (1, 1)])
def test_pictures_of_any_size_have_boxes_in_parts_of_their_own_size(network: Saved, width: int, height: int) -> None:
    pixels = np.stack([np.asarray(Image.fromarray(cartoon(seed, 160, 120)).resize((width, height))) for seed in (1, 2)])
    pictures = [Picture.from_pixels(one) for one in pixels]
    outputs = network("serving_default", pictures=pixels)
    assert_found(outputs, network.by_our_decoder(pictures), sizes_of(pictures))
    assert 0 <= outputs["detection_boxes"].min() <= outputs["detection_boxes"].max() <= 1


def test_jpegs_of_several_sizes_in_one_batch_have_the_boxes_that_our_own_decoding_finds(network: Saved) -> None:
    jpegs = [
        encode_jpeg(cartoon(seed, *size)) for seed, size in enumerate([(160, 120), (96, 64), (90, 210), (400, 50)])
    ]
    pictures = [Picture.from_bytes(one) for one in jpegs]
    assert_found(network("serving_jpeg", jpegs=jpegs), network.by_our_decoder(pictures), sizes_of(pictures))


def test_photographs_have_the_boxes_that_our_own_decoding_finds(network: Saved) -> None:
    paths = sorted((needs.shared_data() / "facemask").rglob("*.jpg"))[::90]
    assert len(paths) > 5
    pictures = [Picture.from_file(path) for path in paths]
    outputs = network("serving_jpeg", jpegs=[path.read_bytes() for path in paths])
    assert_found(outputs, network.by_our_decoder(pictures), sizes_of(pictures))


def test_grey_and_transparent_pictures_and_pngs_are_taken_too(stretching: Saved) -> None:
    image = Image.fromarray(cartoon(3, 160, 120))
    kinds = [("L", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("L", "PNG"), ("P", "GIF")]
    files = [encoded(image.convert(mode), kind) for mode, kind in kinds]
    pictures = [Picture.from_bytes(one) for one in files]
    assert_found(stretching("serving_jpeg", jpegs=files), stretching.by_our_decoder(pictures), sizes_of(pictures))


def test_a_picture_with_an_exif_orientation_is_taken_as_it_is_stored(stretching: Saved) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = cartoon(4, 160, 120)
    turned, upright = encoded(pixels, "JPEG", exif=exif), encoded(pixels, "JPEG")
    assert (Picture.from_bytes(turned).width, Picture.from_bytes(upright).width) == (120, 160)
    outputs = stretching("serving_jpeg", jpegs=[turned, upright])
    np.testing.assert_allclose(outputs["detection_boxes"][0], outputs["detection_boxes"][1], atol=1e-5)
    assert outputs["num_detections"][0] > 0


def test_a_string_that_is_no_picture_is_named_by_its_place(stretching: Saved) -> None:
    whole = encode_jpeg(cartoon(1, 160, 120))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"these places, .*, are no JPEG, PNG, GIF:\] \[1 2\]"):
        stretching("serving_jpeg", jpegs=[whole, b"no picture", b"", whole])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid JPEG data"):
        stretching("serving_jpeg", jpegs=[whole[: len(whole) // 2]])


def giant(kind: str) -> bytes:
    """A small file whose header claims 20000 x 20000 pixels."""
    tiny = encoded(np.zeros((9, 11, 3), np.uint8), kind)
    claim, told = {
        "PNG": (struct.pack(">II", 20000, 20000), struct.pack(">II", 11, 9)),
        "JPEG": (struct.pack(">HH", 20000, 20000), struct.pack(">HH", 9, 11)),
        "GIF": (struct.pack("<HH", 20000, 20000), struct.pack("<HH", 11, 9)),
    }[kind]
    assert told in tiny
    return tiny.replace(told, claim)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_a_picture_that_claims_to_be_a_giant_is_refused_before_it_is_decoded(stretching: Saved, kind: str) -> None:
    told = r"more than 50000000 pixels, width and height are\] \[20000 20000\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        stretching("serving_jpeg", jpegs=[encode_jpeg(cartoon(1, 160, 120)), giant(kind)])


@pytest.mark.parametrize("start", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_header_alone_is_refused(stretching: Saved, start: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?i)jpeg|png|gif"):
        stretching("serving_jpeg", jpegs=[start])


def test_a_batch_of_nothing_is_refused_by_name(stretching: Saved) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="there is no picture in the batch"):
        stretching("serving_default", pictures=np.zeros((0, 120, 160, 3), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="there is no picture in the batch"):
        stretching.model.signatures["serving_jpeg"](jpegs=tf.constant([], tf.string))


def test_a_picture_among_others_is_found_as_alone(stretching: Saved) -> None:
    jpegs = [encode_jpeg(cartoon(seed, 100 + seed, 90)) for seed in range(5)]
    together = stretching("serving_jpeg", jpegs=jpegs)
    for row, jpeg in enumerate(jpegs):
        alone = stretching("serving_jpeg", jpegs=[jpeg])
        assert alone["num_detections"][0] == together["num_detections"][row]
        np.testing.assert_allclose(alone["detection_scores"][0], together["detection_scores"][row], atol=1e-5)


def test_signatures_are_typed_for_clients_that_ask_for_them(stretching: Saved) -> None:
    inputs = {
        name: [(key, spec.dtype.name, spec.shape.as_list()) for key, spec in one.structured_input_signature[1].items()]
        for name, one in stretching.model.signatures.items()
    }
    assert inputs == {
        "serving_default": [("pictures", "uint8", [None, None, None, 3])],
        "serving_jpeg": [("jpegs", "string", [None])],
        "raw_heads": [("pictures", "uint8", [None, 64, 96, 3])],
    }
    kinds = {"detection_boxes": "float32", "detection_scores": "float32", "detection_classes": "int64",
             "detection_labels": "string", "num_detections": "int32"}  # fmt: skip
    for name in ("serving_default", "serving_jpeg"):
        outputs = stretching.model.signatures[name].structured_outputs
        assert {key: spec.dtype.name for key, spec in outputs.items()} == kinds


def test_the_network_lies_in_the_files_once(stretching: Saved) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel.FromString((stretching.folder / "saved_model.pb").read_bytes()).meta_graphs[0]
    functions = graph.graph_def.library.function
    assert sum(any(node.op == "Conv2D" for node in one.node_def) for one in functions) == 1
    weights = sum(4 * np.prod(one.shape) for one in stretching.model.weights)
    assert sum(path.stat().st_size for path in (stretching.folder / "variables").iterdir()) < 1.2 * weights + 50_000


class FromPixels:
    """Raw heads that are the picture's own bytes: with noise for pictures, boxes and scores of every kind."""

    anchors = AnchorSpec(min_level=3, max_level=3, scales=2, aspect_ratios=(1.0, 0.5), size=2.0)
    spec = InputSpec(width=48, height=32, mean_rgb=(128, 128, 128), std_rgb=(1, 1, 1))

    def __init__(self) -> None:
        self.variables = [tf.Variable(0.0)]  # a SavedModel without one would have no variables folder

    def __call__(self, pictures: Any, *, training: bool) -> Mapping[str, Any]:
        assert not training
        # Numbers of their own too, for the grey beside a letterboxed picture would score alike everywhere.
        seen = tf.reshape(pictures, (-1, 4608))[:, :672] / 256 + tf.random.stateless_uniform((672,), seed=(1, 2))
        boxes, scores = tf.split(tf.math.floormod(seen, 1.0), [384, 288], axis=1)
        boxes = (boxes - 0.5) * 25
        stretch = tf.constant([1.0, 1.0, 2.0, 2.0])  # some beyond the largest size
        return {"raw_boxes": tf.reshape(boxes, (-1, 96, 4)) * stretch, "scores": tf.reshape(scores, (-1, 96, 3))}


def noise_finder(folder: Path, **different: Any) -> Saved:
    model = FromPixels()
    settings = {"score_threshold": 0.01, **different}
    anchors = anchors_yxyx_px(model.anchors, 48, 32)
    decoder = Decoder(labels=("cat", "dog", "bird"), input_width=48, input_height=32, anchors=anchors, **settings)
    return saved(model, folder, model.spec.model_copy(update={"resize": decoder.resize}), decoder)


@pytest.mark.parametrize(
    "different",
    [
        {},
        {"score_threshold": 0.5, "thresholds": {"cat": 0.9, "dog": 0.2}, "nms_iou": 0.2},
        {"max_detections": 7, "max_candidates": 30, "box_weights": (1.0, 2.0, 3.0, 4.0)},
        {"resize": "letterbox", "score_threshold": 0.3},
        {"coding": "corners"},
    ],
    ids=["as evaluated", "thresholds", "few", "letterbox", "corners"],
)
def test_noise_has_the_boxes_of_our_decoder_whatever_its_settings(tmp_path: Path, different: dict[str, Any]) -> None:
    file = noise_finder(tmp_path, **different)
    random = np.random.default_rng(6)
    for width, height in [(48, 32), (48, 16), (20, 32), (96, 20), (7, 90)]:
        pixels = random.integers(0, 256, (15, height, width, 3), dtype=np.uint8)
        pictures = [Picture.from_pixels(one) for one in pixels]
        assert_found(file("serving_default", pictures=pixels), file.by_our_decoder(pictures), sizes_of(pictures))


def test_rows_without_a_detection_are_empty(tmp_path: Path) -> None:
    file = noise_finder(tmp_path, score_threshold=0.95)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    outputs = file("serving_default", pictures=pixels)
    assert 0 < outputs["num_detections"].min() <= outputs["num_detections"].max() < 100
    classes, scores, labels, boxes = (outputs[f"detection_{name}"] for name in ("classes", "scores", "labels", "boxes"))
    for row, number in enumerate(outputs["num_detections"]):
        columns = (values[row].tolist() for values in (classes, scores, labels, boxes))
        assert list(zip(*columns, strict=True))[number:] == [NOTHING] * (100 - number)
        told = [file.decoder.labels[index].encode() for index in classes[row, :number]]
        assert told == labels[row, :number].tolist()
        assert (scores[row, :number] >= 0.95).all()


SERVING_PROTOS = {  # tensorflow_serving/apis/{model,predict,prediction_log}.proto: field, number, type
    "ModelSpec": [("name", 1, "string"), ("signature_name", 3, "string")],
    "Input": [("key", 1, "string"), ("value", 2, "tensorflow.TensorProto")],
    "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "repeated Input")],
    "PredictLog": [("request", 1, "PredictRequest")],
    "PredictionLog": [("predict_log", 6, "PredictLog")],
}


def prediction_log_class() -> type:
    """Read by Protocol Buffers themselves."""
    kinds = descriptor_pb2.FieldDescriptorProto
    tensor_file = tensor_pb2.DESCRIPTOR.name
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="serving", syntax="proto3",
                                              dependency=[tensor_file])  # fmt: skip
    for name, fields in SERVING_PROTOS.items():
        message = file.message_type.add(name=name)
        for field, number, told in fields:
            kind = told.removeprefix("repeated ")
            label = kinds.LABEL_REPEATED if told != kind else kinds.LABEL_OPTIONAL
            if kind == "string":
                message.field.add(name=field, number=number, label=label, type=kinds.TYPE_STRING)
            else:
                of = f".{kind}" if "." in kind else f".serving.{kind}"
                message.field.add(name=field, number=number, label=label, type=kinds.TYPE_MESSAGE, type_name=of)
    pool = descriptor_pool.DescriptorPool()
    for one in with_dependencies(tensor_pb2.DESCRIPTOR):
        pool.AddSerializedFile(one.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("serving.PredictionLog"))  # type: ignore[no-any-return]


def with_dependencies(file: Any) -> Iterator[Any]:
    for one in file.dependencies:
        yield from with_dependencies(one)
    yield file


def test_the_warm_up_requests_are_read_as_tf_serving_reads_them_and_run(stretching: Saved) -> None:
    jpeg = encode_jpeg(cartoon(6, 1000, 700))  # lengths of several bytes
    write_warmup(stretching.folder, jpeg)
    path = stretching.folder / "assets.extra" / "tf_serving_warmup_requests"
    make: Callable[[], Any] = prediction_log_class()
    asked = {}
    for record in tf.data.TFRecordDataset(str(path)):
        log = make()
        log.ParseFromString(record.numpy())
        assert log.SerializeToString() == record.numpy()  # it holds nothing else
        request = log.predict_log.request
        [given] = request.inputs
        proto = tensor_pb2.TensorProto.FromString(given.value.SerializeToString())
        asked[request.model_spec.signature_name] = given.key, tf.make_ndarray(proto)
    assert list(asked) == ["serving_default", "serving_jpeg"]
    assert asked["serving_jpeg"][1].tolist() == [jpeg]
    np.testing.assert_array_equal(asked["serving_default"][1], [Picture.from_bytes(jpeg).rgb()])
    expected = stretching.by_our_decoder([Picture.from_bytes(jpeg)])
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        # As TF Serving does: a session, and tensors by the names that the signatures give.
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], str(stretching.folder)).signature_def
        for signature, (name, tensor) in asked.items():
            outputs = {key: one.name for key, one in signatures[signature].outputs.items()}
            found = session.run(outputs, {signatures[signature].inputs[name].name: tensor})
            assert_found(found, expected, [(1000, 700)])


def test_a_version_folder_has_what_tf_serving_looks_for_at_its_top(stretching: Saved) -> None:
    write_warmup(stretching.folder, encode_jpeg(cartoon(6, 100, 70)))
    names = {path.relative_to(stretching.folder).as_posix() for path in stretching.folder.rglob("*") if path.is_file()}
    assert names == {"saved_model.pb", "fingerprint.pb", "variables/variables.index",
                     "variables/variables.data-00000-of-00001", "assets.extra/tf_serving_warmup_requests"}  # fmt: skip
