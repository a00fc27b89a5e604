from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from official.vision.ops import preprocess_ops
from rectangles import Rectangles, assert_boxes_follow, drawn, rectangles

from vigie.experiment import Augmentation
from vigie.resizing import GREY
from vigie.training.augmentation.augment import augment

OFF = dict.fromkeys(("flip", "crop", "scale", "colour", "blur", "jpeg", "mosaic"), 0.0)
MARKS = {
    "flip": "ReverseV2",
    "crop": "ArgMax",
    "scale": "PadV2",
    "colour": "AdjustHue",
    "blur": "DepthwiseConv2dNative",
    "jpeg": "EncodeJpegVariableQuality",
}
seeds = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)).map(lambda pair: np.array(pair, np.int64))


def only(**chances: float) -> Augmentation:
    return Augmentation.model_validate({**OFF, **chances})


@settings(max_examples=25, deadline=None)
@given(picture=rectangles(), seed=seeds)
def test_boxes_follow_through_all_that_moves_them(picture: Rectangles, seed: npt.NDArray[np.int64]) -> None:
    spec = only(flip=0.5, crop=0.7, scale=0.7)
    found = augment(picture.image, picture.boxes, picture.classes, seed, spec, 64, 96)
    image, boxes, classes = (part.numpy() for part in found)
    assert (image.shape, image.dtype, boxes.dtype) == ((64, 96, 3), np.float32, np.float32)
    assert_boxes_follow(image, boxes, classes)


@settings(max_examples=25, deadline=None)
@given(picture=rectangles(), seed=seeds)
def test_boxes_follow_a_letterboxed_picture_through_all_that_moves_them(
    picture: Rectangles, seed: npt.NDArray[np.int64]
) -> None:
    spec = only(flip=0.5, crop=0.7, scale=0.5)
    found = augment(picture.image, picture.boxes, picture.classes, seed, spec, 64, 96, "letterbox")
    image, boxes, classes = (part.numpy() for part in found)
    assert image.shape == (64, 96, 3)
    assert_boxes_follow(image, boxes, classes)


def test_a_mirrored_letterboxed_picture_lies_where_it_lay() -> None:
    picture = drawn(90, 40, [(10, 5, 60, 20)])
    plain, _, _ = augment(picture.image, picture.boxes, picture.classes, [1, 2], only(), 64, 96, "letterbox")
    mirrored, _, _ = augment(picture.image, picture.boxes, picture.classes, [1, 2], only(flip=1.0), 64, 96, "letterbox")
    grey = [np.all(image.numpy() == GREY, axis=(0, 2)) for image in (plain, mirrored)]
    np.testing.assert_array_equal(*grey)
    assert 60 < np.count_nonzero(grey[0]) < 96


@pytest.mark.parametrize(("height", "width"), [(10, 4000), (400, 1), (1, 1)])
def test_thin_and_long_pictures_pass_through_all_of_it(height: int, width: int) -> None:
    picture = np.full((height, width, 3), 200, np.uint8)
    boxes, classes = np.array([[0.0, 0.2, 1.0, 0.8]], np.float32), np.array([1], np.int64)
    for number in range(6):
        for spec in (only(), Augmentation.model_validate(dict.fromkeys(OFF, 0.8))):
            image, kept, _ = augment(picture, boxes, classes, [4, number], spec, 64, 96, "letterbox")
            assert np.isfinite(image).all()
            assert np.all(kept[:, 2:] > kept[:, :2])


@pytest.mark.parametrize("name", ["colour", "blur", "jpeg"])
def test_light_lens_and_codec_leave_boxes_as_they_are(name: str) -> None:
    picture = drawn(50, 60, [(5, 8, 30, 40), (20, 30, 45, 58)])
    plain = augment(picture.image, picture.boxes, picture.classes, [1, 2], only(), 64, 64)
    changed = augment(picture.image, picture.boxes, picture.classes, [1, 2], only(**{name: 1.0}), 64, 64)
    assert not np.array_equal(plain[0], changed[0])
    np.testing.assert_array_equal(plain[1], changed[1])
    np.testing.assert_array_equal(plain[2], changed[2])


def test_without_augmentation_a_picture_is_what_model_garden_makes_of_it_for_validation() -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 130, 3)).astype(np.uint8)
    boxes = np.array([[0.1, 0.2, 0.5, 0.6], [0.3, 0.3, 1.0, 1.0]], np.float32)
    ours, kept, classes = augment(image, boxes, np.array([2, 1], np.int64), [1, 1], only(), 64, 96)
    theirs, _ = preprocess_ops.resize_and_crop_image(
        preprocess_ops.normalize_image(image), [64, 96], padded_size=[64, 96], keep_aspect_ratio=False
    )
    np.testing.assert_allclose(preprocess_ops.normalize_image(ours / 255.0), theirs, atol=1e-4)
    np.testing.assert_array_equal(kept, boxes)
    assert classes.numpy().tolist() == [2, 1]


def test_a_picture_of_the_input_size_is_left_as_it_is() -> None:
    picture = drawn(64, 64, [(1, 2, 30, 40)])
    image, boxes, _ = augment(picture.image, picture.boxes, picture.classes, [1, 1], only(), 64, 64)
    assert image.dtype == tf.float32
    np.testing.assert_array_equal(image, picture.image)
    np.testing.assert_array_equal(boxes, picture.boxes)


def _operations(spec: Augmentation) -> set[str]:
    traced = tf.function(lambda *arguments: augment(*arguments, spec, 64, 64)).get_concrete_function(
        tf.TensorSpec([None, None, 3], tf.uint8),
        tf.TensorSpec([None, 4], tf.float32),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([2], tf.int64),
    )
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return {node.op for node in nodes}


@pytest.mark.parametrize("name", MARKS)
def test_only_what_has_a_chance_is_in_the_graph(name: str) -> None:
    assert _operations(only(**{name: 0.5})) & {*MARKS.values(), "StatelessIf"} == {MARKS[name], "StatelessIf"}


def test_without_augmentation_the_graph_neither_draws_nor_chooses() -> None:
    operations = _operations(only())
    assert not operations & {*MARKS.values(), "StatelessIf", "If", "StatelessRandomUniformV2"}


def _augmented(spec: Augmentation, picture: Rectangles, numbers: Iterable[int]) -> Iterator[tuple[np.ndarray, ...]]:
    """In a `tf.data` map that knows no sizes, each with a seed of its own."""
    signature = (
        tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([None, 4], tf.float32), tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([2], tf.int64),
    )  # fmt: skip
    pictures = tf.data.Dataset.from_generator(
        lambda: ((picture.image, picture.boxes, picture.classes, np.array([9, number])) for number in numbers),
        output_signature=signature,
    )
    changed = pictures.map(lambda *arguments: augment(*arguments, spec, 64, 64), num_parallel_calls=2)
    assert changed.element_spec[0] == tf.TensorSpec([64, 64, 3], tf.float32)
    return iter(changed.as_numpy_iterator())


def test_all_of_it_runs_in_a_pipeline_and_the_same_seeds_give_the_same_pictures() -> None:
    picture = drawn(50, 70, [(5, 5, 30, 30), (20, 30, 45, 65)])
    spec = Augmentation.model_validate(dict.fromkeys(OFF, 0.5))
    found = list(_augmented(spec, picture, [*range(15), *range(15), *range(100, 115)]))
    for one, two in zip(found[:15], found[15:30], strict=True):
        assert all(np.array_equal(left, right) for left, right in zip(one, two, strict=True))
    assert len({image.tobytes() for image, _, _ in found[15:]}) == 30
    assert all(len(boxes) == len(classes) for _, boxes, classes in found)


def test_a_picture_without_objects_passes_through_all_of_it() -> None:
    spec = Augmentation.model_validate(dict.fromkeys(OFF, 1.0))
    for image, boxes, classes in _augmented(spec, drawn(50, 70, []), range(3)):
        assert np.isfinite(image).all()
        assert (boxes.shape, classes.shape) == ((0, 4), (0,))


@pytest.mark.parametrize("chance", [0.3, 0.8])
def test_a_picture_is_mirrored_as_often_as_its_chance_says(chance: float) -> None:
    picture = drawn(64, 64, [(20, 0, 40, 20)])
    mirrored = [boxes[0, 1] > 0.5 for _, boxes, _ in _augmented(only(flip=chance), picture, range(600))]
    assert np.mean(mirrored) == pytest.approx(chance, abs=0.075)  # four standard deviations


def test_an_operation_switched_on_leaves_what_the_others_draw_as_it_was() -> None:
    picture = drawn(50, 70, [(5, 5, 30, 30), (20, 30, 45, 65)])
    alone = _augmented(only(flip=0.5, scale=0.5), picture, range(15))
    beside = _augmented(only(flip=0.5, scale=0.5, colour=0.5, jpeg=0.5), picture, range(15))
    for (_, boxes, _), (_, same, _) in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(boxes, same)
