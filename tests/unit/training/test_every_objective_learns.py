"""Each loss of classes with each loss of boxes and each assignment, a few steps on a few rectangles."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from rectangles import drawn

from vigie.experiment import Experiment

SIDE = 64
STEPS = 12
PICTURES = [
    drawn(SIDE, SIDE, boxes)
    for boxes in (
        [(4, 4, 36, 30), (30, 34, 60, 62)],
        [(10, 8, 58, 50)],
        [(2, 30, 24, 60), (28, 2, 62, 28), (40, 40, 56, 56)],
        [(20, 20, 44, 52), (46, 4, 62, 20)],
    )
]
COMBINATIONS = list(product(("focal", "varifocal"), ("huber", "giou", "diou"), ("iou", "atss")))


def experiment(classification: str, box: str, method: str) -> Experiment:
    model = {"input_width": SIDE, "input_height": SIDE, "backbone_width": 0.35, "fpn_filters": 16, "head_convs": 1}
    return Experiment.model_validate(
        {
            "name": "rectangles",
            "classes": ["red", "green", "blue"],
            "model": {**model, "anchors": {"min_level": 3, "max_level": 5, "scales": 1, "size": 3.0}},
            "loss": {"classification": classification, "box": box},
            "assignment": {"method": method},
            "training": {"steps": STEPS},
        }
    )


@pytest.fixture(scope="module")
def losses_of() -> Callable[[Experiment], list[float]]:
    """Trains always the same network from the same weights; its graph, which is what takes long, is made once."""
    import tensorflow as tf
    import tf_keras

    from vigie.training.labelling import Labeller
    from vigie.training.network.model import build_network
    from vigie.training.objective import Objective

    tf_keras.utils.set_random_seed(1)
    network = build_network(experiment("focal", "huber", "iou"))
    optimizer = tf_keras.optimizers.legacy.Adam(0.03)
    variables = network.trainable_variables
    optimizer._create_all_weights(variables)
    state = [*network.variables, *optimizer.variables()]
    start = [variable.numpy() for variable in state]
    images = tf.constant(np.stack([picture.image for picture in PICTURES]) / 127.5 - 1, tf.float32)
    run = tf.function(lambda: network(images, training=True))

    @tf.function
    def update(gradients: list[Any]) -> None:
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def losses(tried: Experiment) -> list[float]:
        for variable, value in zip(state, start, strict=True):
            variable.assign(value)
        objective, labeller = Objective(tried), Labeller(tried.model, tried.assignment)
        labels = [labeller(picture.boxes_yxyx_px, picture.classes + 1) for picture in PICTURES]
        batch = tf.nest.map_structure(lambda *values: tf.stack(values), *labels)
        found = []
        for _ in range(STEPS):
            with tf.GradientTape() as tape:
                total = objective(run(), batch).total
            update(tape.gradient(total, variables))
            found.append(float(total))
        return found

    return losses


@pytest.mark.parametrize(("classification", "box", "method"), COMBINATIONS)
def test_the_loss_falls(losses_of: Any, classification: str, box: str, method: str) -> None:
    losses = losses_of(experiment(classification, box, method))
    assert all(np.isfinite(losses))
    assert losses[-1] < 0.8 * losses[0]
