from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from vigie.cartoons import random_scene
from vigie.domain import Box
from vigie.errors import BadPicture, BadRun
from vigie.experiment import Experiment
from vigie.pictures import Picture, encode_jpeg
from vigie.resizing import normalised
from vigie.runs import Run
from vigie.training.network.checkpoint_detector import checkpoint_detector

CopyRun = Callable[[Run, dict[str, Any]], Run]


def pixels(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.stack([random_scene(900 + number, 96, 64, 3)[0] for number in range(count)])


def model_gardens_own(run: Run) -> Any:
    """With the run's weights, and its own in the layer that our networks do without."""
    import tensorflow as tf
    from official.vision.tasks.retinanet import RetinaNetTask

    from vigie.training.network.config import task_config
    from vigie.training.network.model import newest_checkpoint

    model = RetinaNetTask(task_config(run.experiment)).build_model()
    model(tf.zeros((1, 64, 96, 3)), training=False)
    tf.train.Checkpoint(model=model).read(str(newest_checkpoint(run.checkpoints))).expect_partial()
    return model


def test_the_network_is_model_gardens_without_the_layer_that_nothing_reads(trained_run: Run) -> None:
    import tensorflow as tf

    from vigie.training.network.model import build_network

    theirs, ours = model_gardens_own(trained_run), build_network(trained_run.experiment)
    saved = tf.train.Checkpoint(model=theirs).save(str(trained_run.folder / "whole" / "ckpt"))
    tf.train.Checkpoint(model=ours).read(saved).expect_partial().assert_existing_objects_matched()
    pixels = tf.random.stateless_normal((2, 64, 96, 3), seed=(1, 2))
    found, expected = ours(pixels, training=True), theirs(pixels, training=True)
    assert list(found) == ["cls_outputs", "box_outputs"]
    tf.nest.map_structure(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), found, expected)
    unread = {name for name, _ in tf.train.list_variables(saved)} - {
        name for name, _ in tf.train.list_variables(tf.train.Checkpoint(model=ours).save(f"{saved}-ours"))
    }
    assert {name.split("/")[2] for name in unread} == {"layer_with_weights-18"}
    assert len(ours.trainable_variables) == len(theirs.trainable_variables) - 3


SHAPES: dict[str, dict[str, Any]] = {
    "the zoo's levels": {},
    "wide, sides no multiples of 128": {"input_width": 160, "input_height": 96},
    "high, from stride 4": {"input_width": 64, "input_height": 96, "anchors": {"min_level": 2, "max_level": 6}},
    "one level": {"anchors": {"min_level": 4, "max_level": 4, "scales": 3, "aspect_ratios": [0.6, 1.0], "size": 3.0}},
    "levels of one cell": {"input_height": 160, "anchors": {"min_level": 5, "max_level": 8, "scales": 1}},
    "half as wide, more filters, a deep head": {"backbone_width": 0.5, "fpn_filters": 24, "head_convs": 3},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_of_network_agrees_with_its_anchors_and_learns(shape: dict[str, Any]) -> None:
    import tensorflow as tf
    from official.vision.ops.anchor import Anchor

    from vigie.training.labelling import Labeller
    from vigie.training.network.config import decoder, task_config
    from vigie.training.network.model import build_network, inference_model
    from vigie.training.objective import Objective

    small = {"input_width": 64, "input_height": 64, "backbone_width": 0.35, "fpn_filters": 16, "head_convs": 1}
    experiment = Experiment.model_validate(
        {"name": "shape", "classes": ["a", "b"], "model": {**small, **shape}, "training": {"steps": 1}}
    )
    spec, anchors = experiment.model, decoder(experiment).anchors
    theirs = Anchor(**task_config(experiment).model.anchor.as_dict() | levels_and_size(experiment)).multilevel_boxes
    flat = np.concatenate([np.reshape(level, (-1, 4)) for level in theirs.values()])
    assert flat.shape == anchors.shape
    np.testing.assert_allclose(anchors, flat, atol=1e-3)

    network = build_network(experiment)
    raw = inference_model(experiment, network)(np.zeros((2, spec.input_height, spec.input_width, 3), np.uint8))
    assert raw["raw_boxes"].shape == (2, len(anchors), 4)
    assert raw["scores"].shape == (2, len(anchors), 2)

    labels = Labeller(spec, experiment.assignment)(np.array([(8, 8, 40, 56)], np.float32), np.array([1]))
    images = tf.random.stateless_normal((1, spec.input_height, spec.input_width, 3), (1, 2))
    with tf.GradientTape() as tape:
        outputs = network(images, training=True)
        losses = Objective(experiment)(outputs, tf.nest.map_structure(lambda values: values[None], labels))
    assert list(outputs["cls_outputs"]) == list(labels["cls_targets"]) == list(theirs)
    learning = network.head.trainable_variables + network.decoder.trainable_variables
    gradients = tape.gradient(losses.total, learning)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def levels_and_size(experiment: Experiment) -> dict[str, Any]:
    spec = experiment.model
    levels = {"min_level": spec.grid.min_level, "max_level": spec.grid.max_level}
    return {**levels, "image_size": (spec.input_height, spec.input_width)}


def test_boxes_decoded_by_us_are_those_that_model_garden_decodes(trained_run: Run) -> None:
    import tensorflow as tf
    from official.vision.ops import preprocess_ops

    from vigie.training.network.config import decoder
    from vigie.training.network.model import raw_model

    rgb = pixels(2)
    theirs = model_gardens_own(trained_run)
    theirs.detection_generator.get_config().update(pre_nms_score_threshold=0.0)
    found = theirs(
        preprocess_ops.normalize_image(tf.constant(rgb)), image_shape=tf.constant([[64.0, 96.0]] * 2), training=False
    )
    ours = raw_model(trained_run.experiment, trained_run.checkpoints)(rgb)
    reader = decoder(trained_run.experiment, score_threshold=0.0)
    for number in range(2):
        got = reader.decode(ours["raw_boxes"][number].numpy(), ours["scores"][number].numpy(), width=96, height=64)
        top, left, bottom, right = found["detection_boxes"][number].numpy().T
        labels = [reader.labels[int(column) - 1] for column in found["detection_classes"][number]]
        assert len(got) == len(labels) == 100
        assert [detection.label for detection in got] == labels
        assert [detection.score for detection in got] == pytest.approx(found["detection_scores"][number].numpy())
        boxes = [
            (detection.box.left, detection.box.top, detection.box.right, detection.box.bottom) for detection in got
        ]
        assert np.abs(np.array(boxes) - np.stack([left, top, right, bottom], axis=1)).max() < 1e-2


def test_raw_boxes_and_scores_stand_in_the_order_of_the_anchors(trained_run: Run) -> None:
    import tensorflow as tf
    from official.vision.ops import preprocess_ops

    from vigie.training.network.config import decoder
    from vigie.training.network.model import raw_model

    rgb = pixels(1)
    theirs = model_gardens_own(trained_run)
    theirs.detection_generator.get_config().update(apply_nms=False)
    found = theirs(preprocess_ops.normalize_image(tf.constant(rgb)), image_shape=None, training=False)
    ours = raw_model(trained_run.experiment, trained_run.checkpoints)(rgb)
    assert np.abs(ours["scores"] - found["decoded_box_scores"]).max() < 1e-6
    anchors = decoder(trained_run.experiment).anchors
    raw = ours["raw_boxes"][0].numpy() / (10, 10, 5, 5)
    size = anchors[:, 2:] - anchors[:, :2]
    centre = anchors[:, :2] + size / 2 + raw[:, :2] * size
    half = np.exp(raw[:, 2:]) * size / 2
    decoded = np.concatenate([centre - half, centre + half], axis=1)
    assert np.abs(decoded - found["decoded_boxes"][0, :, 0].numpy()).max() < 1e-2


def test_both_forms_of_input_give_the_same(trained_run: Run) -> None:
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB, raw_model

    rgb = pixels(2)
    plain = raw_model(trained_run.experiment, trained_run.checkpoints)
    prepared = raw_model(trained_run.experiment, trained_run.checkpoints, normalised_input=True)
    outputs = prepared(normalised(rgb, PIXEL_MEAN_RGB, PIXEL_STD_RGB))
    for given in (rgb, rgb.astype(np.float32)):
        for name, expected in plain(given).items():
            assert np.abs(outputs[name] - expected).max() < 1e-4, name


@pytest.fixture
def _half_precision() -> Iterator[None]:
    import tf_keras

    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    tf_keras.mixed_precision.set_global_policy("float32")


@pytest.mark.usefixtures("_half_precision")
def test_what_is_deployed_computes_in_float32_whatever_trained_it(trained_run: Run) -> None:
    import tf_keras

    from vigie.training.network.model import build_network, inference_model, raw_model

    deployed = raw_model(trained_run.experiment, trained_run.checkpoints)
    assert tf_keras.mixed_precision.global_policy().name == "mixed_bfloat16"
    assert {layer.compute_dtype for layer in deployed.layers} == {"float32"}
    in_training = inference_model(trained_run.experiment, build_network(trained_run.experiment))
    assert "bfloat16" in {layer.compute_dtype for layer in in_training.layers}
    assert {name: output.dtype.name for name, output in in_training(pixels(1)).items()} == {
        "raw_boxes": "float32",
        "scores": "float32",
    }


def test_a_batch_with_a_bad_picture_gives_what_its_pictures_give_alone(trained_run: Run) -> None:
    detector = checkpoint_detector(trained_run, score_threshold=0.001)
    good = [Picture.from_bytes(encode_jpeg(random_scene(seed, 96, 72, 3)[0])) for seed in (70, 71, 72)]
    cut = Picture(96, 72, encoded=good[0].jpeg()[:8], format="jpeg")
    batch = detector.detect([good[0], cut, good[1], good[2]])
    assert isinstance(batch[1], BadPicture)
    for entry, alone in zip((batch[0], *batch[2:]), good, strict=True):
        single = detector.detect([alone])[0]
        assert isinstance(entry, list)
        assert isinstance(single, list)
        assert single
        assert [found.label for found in entry] == [found.label for found in single]
        assert [found.score for found in entry] == pytest.approx([found.score for found in single], abs=1e-5)
    assert detector.labels == trained_run.experiment.classes


def test_boxes_come_in_pixels_of_the_original(trained_run: Run) -> None:
    detector = checkpoint_detector(trained_run, score_threshold=0.001)
    small = random_scene(70, 96, 64, 3)[0]
    large = np.repeat(np.repeat(small, 4, axis=0), 2, axis=1)
    (from_small,), (from_large,) = (detector.detect([Picture.from_pixels(rgb)]) for rgb in (small, large))
    assert isinstance(from_small, list)
    assert isinstance(from_large, list)
    edges = [(b.left * 2, b.top * 4, b.right * 2, b.bottom * 4) for b in (found.box for found in from_small[:5])]
    for box, expected in zip((found.box for found in from_large[:5]), edges, strict=True):
        assert box.iou(Box(*expected)) > 0.9


def test_weights_of_another_model_are_refused(trained_run: Run, copied: CopyRun) -> None:
    run = copied(trained_run, {"model": {"fpn_filters": 32}})
    with pytest.raises(BadRun, match=r"ckpt-\d+: does not fit the experiment 'tiny' with 3 classes at 96x64"):
        checkpoint_detector(run)


def test_a_run_without_a_checkpoint_is_refused(trained_run: Run, copied: CopyRun) -> None:
    run = copied(trained_run, {})
    for file in run.checkpoints.rglob("c*"):
        file.unlink()
    with pytest.raises(BadRun, match="holds no checkpoint; train first"):
        checkpoint_detector(run)
