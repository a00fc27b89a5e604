"""What is minimised, against Model Garden's own and against numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest

from vigie.experiment import Experiment

CLASSES = ("a", "b", "c")


def experiment(**sections: Any) -> Experiment:
    values = {"name": "three", "classes": CLASSES, "training": {"steps": 1}}
    model = {"input_width": 64, "input_height": 64, "anchors": {"min_level": 4, "max_level": 5}}
    return Experiment.model_validate({**values, "model": model, **sections})


def batch(seed: int, *, positives: int = 12) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs and labels of two pictures with levels 4 and 5: 6 anchors in each of 16 and 4 cells."""
    import tensorflow as tf

    random = np.random.default_rng(seed)
    sides, anchors = {"4": 4, "5": 2}, 6
    count = sum(side * side for side in sides.values()) * anchors
    classes = np.full((2, count), -1, np.int64)
    for picture in range(2):
        chosen = random.permutation(count)[:positives]
        classes[picture, chosen] = random.integers(1, len(CLASSES) + 1, positives)
    split = sides["4"] ** 2 * anchors
    codes = random.normal(scale=3.0, size=(2, count, 4)).astype(np.float32)
    labels = {
        "cls_targets": {
            "4": tf.constant(classes[:, :split].reshape(2, 4, 4, anchors)),
            "5": tf.constant(classes[:, split:].reshape(2, 2, 2, anchors)),
        },
        "box_targets": {
            "4": tf.constant(codes[:, :split].reshape(2, 4, 4, anchors * 4)),
            "5": tf.constant(codes[:, split:].reshape(2, 2, 2, anchors * 4)),
        },
        "cls_weights": tf.constant(random.choice([0.0, 0.5, 1.0], (2, count)).astype(np.float32)),
        "box_weights": tf.constant((classes > 0).astype(np.float32)),
    }
    outputs = {
        name: {
            level: tf.constant(random.normal(size=(2, side, side, anchors * columns)).astype(np.float32))
            for level, side in sides.items()
        }
        for name, columns in (("cls_outputs", len(CLASSES) + 1), ("box_outputs", 4))
    }
    return outputs, labels


@pytest.mark.parametrize("loss", [{}, {"focal_alpha": 0.4, "focal_gamma": 1.5, "huber_delta": 0.3, "box_weight": 5.0}])
@pytest.mark.parametrize("positives", [0, 12])
def test_focal_and_huber_are_those_of_model_garden(loss: dict[str, float], positives: int) -> None:
    from official.vision.tasks.retinanet import RetinaNetTask

    from vigie.training.config import task_config
    from vigie.training.objective import Objective

    tried = experiment(loss=loss)
    outputs, labels = batch(1, positives=positives)
    total, classification, box, _ = RetinaNetTask(task_config(tried)).build_losses(outputs, labels)
    ours = Objective(tried)(outputs, labels)
    assert [float(value) for value in ours] == pytest.approx([float(total), float(classification), float(box)])
    assert float(ours.classification) > 0
    assert (float(ours.box) > 0) == (positives > 0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_outputs_of_half_precision_are_weighed_in_float32(dtype: str) -> None:
    import tensorflow as tf

    from vigie.training.objective import Objective

    outputs, labels = batch(2)
    halves = tf.nest.map_structure(lambda level: tf.cast(level, dtype), outputs)
    rounded = tf.nest.map_structure(lambda level: tf.cast(level, tf.float32), halves)
    found, expected = (Objective(experiment())(given, labels) for given in (halves, rounded))
    assert [value.dtype for value in found] == [tf.float32] * 3
    assert [float(value) for value in found] == [float(value) for value in expected]
