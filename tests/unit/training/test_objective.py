"""What is minimised, against Model Garden's own and against numbers worked out by hand."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vigie.experiment import Experiment

Floats = npt.NDArray[np.float64]

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

    from vigie.training.network.config import task_config
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


SQUARE, WIDE = 0, 1
"""Two of the six anchors of the first cell of level 4: 64 x 64 px, and about 45 high and 90 wide."""

SHIFTED = (5.0, 0.0, 0.0, 0.0)
"""The codes of a box that lies lower than its anchor by half the anchor's height: dy has the weight 10."""


def one_positive(anchor: int, *, true: tuple[float, ...], found: tuple[float, ...]) -> tuple[Any, Any]:
    """A picture in which one anchor answers for an object, of class 2; the network's probabilities are all .5."""
    import tensorflow as tf

    outputs, labels = tf.nest.map_structure(lambda values: np.zeros_like(values[:1]), batch(0))
    for level in labels["cls_targets"].values():
        level[:] = -1
    labels["cls_targets"]["4"][0, 0, 0, anchor] = 2
    labels["cls_weights"][:] = 1
    labels["box_weights"][0, anchor] = 1
    at = slice(4 * anchor, 4 * anchor + 4)
    labels["box_targets"]["4"][0, 0, 0, at] = true
    outputs["box_outputs"]["4"][0, 0, 0, at] = found
    return tf.nest.map_structure(tf.constant, (outputs, labels))


@pytest.mark.parametrize(
    ("loss", "anchor", "expected"),
    [
        # Half of each is shared: IoU 1/3, and nothing is empty in the box around both.
        ("giou", SQUARE, 1 - 1 / 3),
        ("giou", WIDE, 1 - 1 / 3),
        # With the anchor's height 1: centres .5 apart, diagonals sqrt(1.5**2 + 1) and sqrt(1.5**2 + 2**2).
        ("diou", SQUARE, 1 - 1 / 3 + 0.25 / 3.25),
        ("diou", WIDE, 1 - 1 / 3 + 0.25 / 6.25),
    ],
)
def test_box_losses_worked_out_by_hand(loss: str, anchor: int, expected: float) -> None:
    from vigie.training.objective import Objective

    tried = experiment(loss={"box": loss, "box_weight": 3.0})
    found = Objective(tried)(*one_positive(anchor, true=SHIFTED, found=(0, 0, 0, 0)))
    assert float(found.box) == pytest.approx(expected / 2)  # one positive anchor, plus one
    assert float(found.total) == pytest.approx(float(found.classification) + 3.0 * float(found.box))


def test_varifocal_worked_out_by_hand() -> None:
    from vigie.training.objective import Objective

    tried = experiment(loss={"classification": "varifocal"})
    outputs, labels = one_positive(SQUARE, true=SHIFTED, found=(0, 0, 0, 0))
    # The cross entropy of .5 with anything is ln 2. The object's class has the target 1/3 and that weight, the 479
    # other sigmoids (120 anchors of 4 columns) .75 * .5 ** 2.
    expected = math.log(2) * (1 / 3 + 479 * 0.75 * 0.25) / 2
    assert float(Objective(tried)(outputs, labels).classification) == pytest.approx(expected, rel=1e-5)


def slow_varifocal(targets: Floats, logits: Floats, alpha: float, gamma: float) -> Floats:
    losses = np.empty_like(logits)
    for at, (q, x) in enumerate(zip(targets.ravel(), logits.ravel(), strict=True)):
        p = 1 / (1 + math.exp(-x))
        if q > 0:
            losses.flat[at] = -q * (q * math.log(p) + (1 - q) * math.log(1 - p))
        else:
            losses.flat[at] = -alpha * p**gamma * math.log(1 - p)
    return losses


@pytest.mark.parametrize(("alpha", "gamma"), [(0.75, 2.0), (0.4, 0.5)])
def test_varifocal_is_that_of_the_reference(alpha: float, gamma: float) -> None:
    from vigie.training.objective import varifocal

    random = np.random.default_rng(3)
    logits = random.normal(scale=5, size=(50, 4))
    targets = np.where(random.random((50, 4)) < 0.5, random.random((50, 4)), 0)
    found = varifocal(targets.astype(np.float32), logits.astype(np.float32), alpha, gamma)
    np.testing.assert_allclose(found, slow_varifocal(targets, logits, alpha, gamma), rtol=1e-3, atol=1e-6)


def test_no_gradient_reaches_the_boxes_through_the_target_of_varifocal() -> None:
    import tensorflow as tf

    from vigie.training.objective import Objective

    outputs, labels = one_positive(SQUARE, true=SHIFTED, found=(1, 1, 1, 1))
    tried = Objective(experiment(loss={"classification": "varifocal"}))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = tried(outputs, labels).classification
    gradients = tape.gradient(loss, outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    assert all(not np.any(level) for level in gradients["box_outputs"].values())
    assert np.any(gradients["cls_outputs"]["4"])


KINDS = [(classification, box) for classification in ("focal", "varifocal") for box in ("huber", "giou", "diou")]


@pytest.mark.parametrize(("classification", "box"), KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("positives", [0, 12])
def test_losses_and_gradients_are_finite_at_the_ends_of_every_precision(
    classification: str, box: str, dtype: str, positives: int
) -> None:
    import tensorflow as tf

    from vigie.training.objective import Objective

    outputs, labels = batch(4, positives=positives)
    extremes = tf.nest.map_structure(lambda level: tf.cast(level * 6e4 / tf.reduce_max(tf.abs(level)), dtype), outputs)
    tried = Objective(experiment(loss={"classification": classification, "box": box, "varifocal_gamma": 0.5}))
    for given in (extremes, tf.nest.map_structure(tf.zeros_like, extremes)):
        with tf.GradientTape() as tape:
            tape.watch(given)
            losses = tried(given, labels)
        assert [value.dtype for value in losses] == [tf.float32] * 3
        assert all(math.isfinite(value) for value in losses)
        gradients = tape.gradient(losses.total, given)
        assert all(np.all(np.isfinite(tf.cast(one, tf.float32))) for one in tf.nest.flatten(gradients))


@pytest.mark.parametrize("classification", ["focal", "varifocal"])
def test_an_untrained_network_starts_with_a_small_loss_of_classes(classification: str) -> None:
    import tensorflow as tf

    from vigie.training.network.model import build_network
    from vigie.training.objective import Objective

    tiny = {"input_width": 64, "input_height": 64, "backbone_width": 0.35, "fpn_filters": 16, "head_convs": 1}
    tried = experiment(
        model={**tiny, "anchors": {"min_level": 4, "max_level": 5}}, loss={"classification": classification}
    )
    outputs = build_network(tried)(tf.random.stateless_normal((2, 64, 64, 3), (1, 2)), training=True)
    _, labels = batch(5)
    # Of each sigmoid -alpha * .01 ** 2 * log(.99) where no object is, and at most -log(.01) where one is.
    assert 0 < float(Objective(tried)(outputs, labels).classification) < -math.log(0.01) + 0.1
