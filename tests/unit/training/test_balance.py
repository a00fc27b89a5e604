from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vigie.data.prepare import part_files
from vigie.experiment import Augmentation, Balance
from vigie.runs import Run


def write_examples(path: Path, *of_classes: list[int]) -> list[bytes]:
    """Examples without pictures, in order."""
    import tensorflow as tf

    written = []
    with tf.io.TFRecordWriter(str(path)) as writer:
        for ids in of_classes:
            labels = tf.train.Feature(int64_list=tf.train.Int64List(value=ids))
            features = tf.train.Features(feature={"image/object/class/label": labels})
            written.append(bytes(tf.train.Example(features=features).SerializeToString()))
            writer.write(written[-1])
    return written


def test_a_picture_of_a_rare_class_comes_as_often_on_average_as_its_factor_says(tmp_path: Path) -> None:
    from vigie.training.balance import by_class_id
    from vigie.training.order import ordered_examples

    empty, common, both, rare = write_examples(tmp_path / "one.tfrecord", [], [1], [1, 2], [2, 2, 2])
    examples = ordered_examples([tmp_path / "one.tfrecord"], seed=1, factors=by_class_id([1.0, 2.25]))
    seen = Counter(examples.take(4000).as_numpy_iterator())
    epochs = seen[common]
    assert abs(seen[empty] - epochs) <= 1
    assert seen[both] / epochs == pytest.approx(2.25, abs=0.06)
    assert seen[rare] / epochs == pytest.approx(2.25, abs=0.06)


def test_the_fraction_of_a_factor_is_drawn_anew_each_time() -> None:
    import tensorflow as tf

    from vigie.training.balance import by_class_id, repeats

    labels = tf.train.Feature(int64_list=tf.train.Int64List(value=[2, 1]))
    serialised = tf.train.Example(features=tf.train.Features(feature={"image/object/class/label": labels}))
    drawn = {
        int(repeats(tf.constant(serialised.SerializeToString()), by_class_id([1.0, 2.5]), tf.constant([1, number])))
        for number in range(20)
    }
    assert drawn == {2, 3}


def test_a_weight_multiplies_the_classification_loss_of_its_objects_and_no_other() -> None:
    import tensorflow as tf

    from vigie.experiment import Experiment, Schedule
    from vigie.training.balance import by_class_id, weighted
    from vigie.training.objective import Objective

    labels = {
        "cls_targets": {"3": tf.constant([[[2], [-1]]]), "4": tf.constant([[[3]]])},
        "box_targets": {"3": tf.zeros((1, 2, 4)), "4": tf.zeros((1, 1, 4))},
        "cls_weights": tf.ones(3),
        "box_weights": tf.constant([1.0, 0.0, 1.0]),
    }
    labels = weighted(labels, by_class_id([1.0, 2.0, 0.5]))
    outputs = {  # each class has the probability .5 everywhere, and each box is off by 1
        "cls_outputs": {"3": tf.zeros((1, 1, 2, 4)), "4": tf.zeros((1, 1, 1, 4))},
        "box_outputs": {"3": tf.ones((1, 1, 2, 4)), "4": tf.ones((1, 1, 1, 4))},
    }
    experiment = Experiment(name="three", classes=("a", "b", "c"), training=Schedule(steps=1))
    _, class_loss, box_loss = Objective(experiment)(outputs, tf.nest.map_structure(lambda values: values[None], labels))

    column = 0.5**2 * np.log(2)  # (1 - p)^gamma times the cross entropy; times alpha or 1 - alpha
    with_object, without = column * (0.25 + 3 * 0.75), column * 4 * 0.75
    normaliser = 2 + 1  # anchors of objects, and Model Garden's one against division by zero
    assert float(class_loss) == pytest.approx((2.0 * with_object + without + 0.5 * with_object) / normaliser)
    assert float(box_loss) == pytest.approx(2 * 0.5 / normaliser)  # Huber of 1 is .5


def test_batches_carry_the_weights_of_their_classes(tiny_run: Run) -> None:
    from vigie.training.inputs import TrainingInputs
    from vigie.training.labelling import Labeller

    files = part_files(tiny_run.records, "train")
    inputs = TrainingInputs(files, 4, 1, Augmentation(), Balance(method="class_weights"), (0.5, 2.0, 3.0), "stretch")
    _, labels = next(iter(inputs.batches(Labeller(tiny_run.experiment.model, tiny_run.experiment.assignment))))
    ids = np.concatenate([level.numpy().reshape(4, -1) for level in labels["cls_targets"].values()], axis=1)
    assert set(np.unique(ids)) == {-1, 1, 2, 3}
    weights = labels["cls_weights"].numpy()
    for number, weight in {-1: 1, 1: 0.5, 2: 2, 3: 3}.items():
        assert set(weights[ids == number]) == {weight}, number
    assert (labels["box_weights"].numpy() == (ids > 0)).all()
