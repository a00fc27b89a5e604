"""The labels of a picture's anchors, against those that Model Garden makes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.experiment import Assignment, ModelSpec

MODELS = {
    "default": ModelSpec(input_width=128, input_height=128),
    "not square, from stride 4": ModelSpec(
        input_width=160, input_height=96, anchors={"min_level": 2, "max_level": 6, "scales": 1, "size": 3.0}
    ),
}


@st.composite
def drawn(draw: st.DrawFn, model: ModelSpec, least: int = 0) -> tuple[Any, Any]:
    boxes, ids = [], []
    for _ in range(draw(st.integers(least, 6))):
        top, left = draw(st.integers(0, model.input_height - 2)), draw(st.integers(0, model.input_width - 2))
        bottom, right = draw(st.integers(top + 1, model.input_height)), draw(st.integers(left + 1, model.input_width))
        boxes.append((top, left, bottom, right))
        ids.append(draw(st.integers(1, 3)))
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(ids, np.int64)


def by_model_garden(model: ModelSpec, boxes: Any, ids: Any) -> dict[str, Any]:
    """With our anchors, of which those of Model Garden differ in the last bit; see test_model.py."""
    import tensorflow as tf
    from official.vision.ops.anchor import AnchorLabeler

    from vigie.training.assignment import AnchorGrid

    anchors = {
        level.name: tf.constant(level.boxes.reshape(*level.boxes.shape[:2], -1)) for level in AnchorGrid(model).levels
    }
    classes, codes, _, cls_weights, box_weights = AnchorLabeler(0.5, 0.5, [10.0, 10.0, 5.0, 5.0]).label_anchors(
        anchors, tf.constant(boxes), tf.constant(ids)[:, None]
    )
    return {"cls_targets": classes, "box_targets": codes, "cls_weights": cls_weights, "box_weights": box_weights}


def flat(levels: dict[str, Any], columns: int) -> Any:
    return np.concatenate([np.reshape(level, (-1, columns)) for level in levels.values()])


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_labels_by_overlap_are_those_of_model_garden(model: ModelSpec, data: st.DataObject) -> None:
    from vigie.training.labelling import Labeller

    boxes, ids = data.draw(drawn(model))
    ours, theirs = Labeller(model, Assignment())(boxes, ids), by_model_garden(model, boxes, ids)
    assert list(ours) == list(theirs)
    for part in ("cls_targets", "box_targets"):
        shapes = [
            {level: (values.shape, values.dtype) for level, values in labels[part].items()} for labels in (ours, theirs)
        ]
        assert shapes[0] == shapes[1]
    np.testing.assert_array_equal(flat(ours["cls_targets"], 1), flat(theirs["cls_targets"], 1))
    np.testing.assert_array_equal(ours["cls_weights"], theirs["cls_weights"])
    np.testing.assert_array_equal(ours["box_weights"], theirs["box_weights"])
    positive = np.asarray(ours["box_weights"]) > 0
    codes = flat(ours["box_targets"], 4)
    np.testing.assert_allclose(codes[positive], flat(theirs["box_targets"], 4)[positive], atol=1e-4)
    assert not np.any(codes[~positive])


def test_labels_by_atss_lead_back_to_the_objects() -> None:
    from vigie.training.assignment import AnchorGrid
    from vigie.training.box_geometry import decoded
    from vigie.training.labelling import Labeller

    model = MODELS["not square, from stride 4"]
    boxes, ids = np.array([(10, 20, 40, 60), (50, 90, 58, 98)], np.float32), np.array([2, 3])
    labels = Labeller(model, Assignment(method="atss"))(boxes, ids)
    positive = np.asarray(labels["box_weights"]) > 0
    classes = flat(labels["cls_targets"], 1)[:, 0]
    assert set(classes[positive]) == {2, 3}
    assert set(classes[~positive]) == {-1}
    assert np.all(labels["cls_weights"] == 1)
    found = decoded(flat(labels["box_targets"], 4)[positive], AnchorGrid(model).anchors[positive])
    np.testing.assert_allclose(found, boxes[classes[positive] - 2], atol=1e-3)


def test_atss_gives_small_objects_as_many_anchors_as_large_ones() -> None:
    from vigie.training.labelling import Labeller

    model = ModelSpec(input_width=320, input_height=320)
    counts = {}
    for method in ("iou", "atss"):
        label = Labeller(model, Assignment(method=method))
        counts[method] = [
            int(sum(label(np.array([(80, 80, 80 + side, 80 + side)], np.float32), np.array([1]))["box_weights"]))
            for side in (20, 60, 160)
        ]
    assert max(counts["atss"]) < 4 * min(counts["atss"])
    assert max(counts["iou"]) > 4 * min(counts["iou"])


@pytest.mark.parametrize("method", ["iou", "atss"])
def test_a_picture_without_objects_is_all_background(method: Any) -> None:
    from vigie.training.labelling import Labeller

    labels = Labeller(MODELS["default"], Assignment(method=method))(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert set(flat(labels["cls_targets"], 1).ravel()) == {-1}
    assert not np.any(labels["box_weights"])
    assert np.all(labels["cls_weights"] == 1)


@pytest.mark.parametrize("method", ["iou", "atss"])
def test_labels_within_a_graph_have_shapes_that_are_known(method: Any) -> None:
    import tensorflow as tf

    from vigie.training.labelling import Labeller

    label = Labeller(MODELS["default"], Assignment(method=method))
    pictures = [
        (tf.zeros((0, 4)), tf.zeros(0, tf.int64)),
        (tf.constant([[8.0, 8.0, 40.0, 40.0]]), tf.constant([1], tf.int64)),
    ]
    data = tf.data.Dataset.from_generator(
        lambda: iter(pictures), output_signature=(tf.TensorSpec((None, 4)), tf.TensorSpec((None,), tf.int64))
    ).map(label)
    assert all(spec.shape.is_fully_defined() for spec in tf.nest.flatten(data.element_spec))
    assert [float(tf.reduce_sum(labels["box_weights"])) > 0 for labels in data] == [False, True]
