from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vigie.data.prepare import load_manifest, part_files
from vigie.experiment import Augmentation, Balance, CompositeOf
from vigie.pictures import encode_jpeg
from vigie.runs import Run

Batches = Callable[..., list[Any]]

PLAIN = Augmentation(flip=0, scale=0)
SLIPPED = CompositeOf(upper="without_mask", lower="with_mask", makes="mask_weared_incorrect")
EVERYTHING = Augmentation(
    crop=0.5, colour=0.5, blur=0.5, jpeg=0.5, mosaic=0.5, paste=0.5, composite=0.5, composite_of=SLIPPED
)
REPEATED = Balance(method="repeat_factors")


@pytest.fixture(scope="module")
def batches(tiny_run: Run) -> Batches:
    """The first batches as pairs of a NumPy array and a dict."""
    from vigie.training.inputs import TrainingInputs
    from vigie.training.labelling import Labeller

    files = part_files(tiny_run.records, "train")
    labeller = Labeller(tiny_run.experiment.model, tiny_run.experiment.assignment)

    def batches(
        count: int,
        *,
        batch: int = 4,
        seed: int = 1,
        augmentation: Augmentation = EVERYTHING,
        balance: Balance = REPEATED,
        factors: Sequence[float] = (1.0, 1.5, 2.25),
        first_step: int = 0,
    ) -> list[Any]:
        classes = tiny_run.experiment.classes
        inputs = TrainingInputs(
            files, batch, seed, augmentation, balance, factors, "stretch", (1.0, 1.5, 2.25), classes
        )
        return list(islice(inputs.batches(labeller, first_step=first_step).as_numpy_iterator(), count))

    return batches


@pytest.fixture(scope="module")
def uncut(batches: Batches) -> list[Any]:
    """More than an epoch, with all that can be drawn."""
    return batches(26)


def assert_same(these: list[Any], others: list[Any]) -> None:
    import tensorflow as tf

    assert len(these) == len(others) > 0
    for one, other in zip(these, others, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def strings(run: Run, count: int, **options: Any) -> list[bytes]:
    from vigie.training.order import ordered_examples

    examples = ordered_examples(part_files(run.records, "train"), **options)
    return list(islice(examples.as_numpy_iterator(), count))


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(batches: Batches, uncut: list[Any]) -> None:
    assert_same(batches(4), uncut[:4])
    (plain, _), (other, _) = (batches(1, seed=seed, augmentation=PLAIN)[0] for seed in (1, 2))
    assert not np.array_equal(plain, other)


@pytest.mark.parametrize("begin", [3, 24], ids=["first epoch", "second epoch"])
def test_after_an_interruption_the_batches_are_those_that_would_have_come(
    batches: Batches, uncut: list[Any], begin: int
) -> None:
    assert_same(batches(2, first_step=begin), uncut[begin : begin + 2])


def test_an_epoch_shows_each_picture_once_in_an_order_of_its_own(tiny_run: Run) -> None:
    pictures = load_manifest(tiny_run.records).parts["train"].pictures
    seen = strings(tiny_run, 3 * pictures, seed=1)
    epochs = [seen[begin : begin + pictures] for begin in range(0, 3 * pictures, pictures)]
    assert len(set(epochs[0])) == pictures
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert epochs[0] != epochs[1]
    assert epochs[1] != epochs[2]


def test_the_order_is_that_of_its_seed_whatever_the_programs_seed_is(tiny_run: Run) -> None:
    import tensorflow as tf

    tf.random.set_seed(1)
    first = strings(tiny_run, 20, seed=1)
    tf.random.set_seed(2)
    assert strings(tiny_run, 20, seed=1) == first
    assert strings(tiny_run, 20, seed=2) != first
    assert strings(tiny_run, 20, seed=1, stream=1) != first


def test_no_picture_of_the_second_epoch_is_as_it_was_in_the_first(tiny_run: Run, batches: Batches) -> None:
    pictures = load_manifest(tiny_run.records).parts["train"].pictures

    def epochs(augmentation: Augmentation) -> list[set[bytes]]:
        seen = batches(2 * pictures, batch=1, augmentation=augmentation, balance=Balance())
        images = [image.tobytes() for image, _ in seen]
        return [set(images[:pictures]), set(images[pictures:])]

    first, second = epochs(PLAIN)
    assert first == second
    first, second = epochs(Augmentation())
    assert len(first) == len(second) == pictures
    assert not first & second


def test_a_picture_that_comes_twice_in_an_epoch_is_changed_in_two_ways(batches: Batches) -> None:
    seen = batches(30, batch=1, augmentation=Augmentation(), factors=(3.0, 3.0, 3.0))
    assert len({image.tobytes() for image, _ in seen}) == 30
    plain = batches(30, batch=1, augmentation=PLAIN, factors=(3.0, 3.0, 3.0))
    assert max(Counter(image.tobytes() for image, _ in plain).values()) == 3


def test_without_augmentation_pictures_and_labels_are_those_of_model_garden(tiny_run: Run, batches: Batches) -> None:
    import tensorflow as tf
    from official.vision.configs import retinanet
    from official.vision.tasks.retinanet import RetinaNetTask

    from vigie.training.network.config import task_config

    files = part_files(tiny_run.records, "train")
    config = retinanet.DataConfig(
        input_path=[str(path) for path in files],
        is_training=False,
        global_batch_size=4,
        dtype="float32",
        drop_remainder=False,
        parser=retinanet.Parser(pad=False, keep_aspect_ratio=False),
    )
    theirs = {}
    task = RetinaNetTask(task_config(tiny_run.experiment))
    for image, labels in task.build_inputs(config).unbatch().as_numpy_iterator():
        theirs[int(labels.pop("groundtruths")["source_id"])] = image, labels
    order = [
        int(tf.train.Example.FromString(one).features.feature["image/source_id"].bytes_list.value[0])
        for one in strings(tiny_run, 12, seed=1)
    ]
    ours = batches(12, batch=1, augmentation=PLAIN, balance=Balance())
    for number, (image, labels) in zip(order, ours, strict=True):
        their_image, their_labels = theirs[number]
        assert np.abs(image[0] - their_image).max() < 1e-3
        assert labels.keys() == their_labels.keys() - {"anchor_boxes", "image_info"}
        ids, their_ids = flat(labels["cls_targets"], 1), flat(their_labels["cls_targets"], 1)
        # Of two anchors that fit a box equally well, rounding decides.
        assert np.array_equal(np.sort(ids, axis=0), np.sort(their_ids, axis=0))
        same = (ids == their_ids).all(axis=1)
        assert (~same).sum() <= 2
        same_object = same & (ids[:, 0] > 0)
        codes, their_codes = flat(labels["box_targets"], 4), flat(their_labels["box_targets"], 4)
        assert np.abs(codes - their_codes)[same_object].max() < 1e-3
        for name in ("cls_weights", "box_weights"):
            assert np.array_equal(labels[name][0][same], their_labels[name][same]), name


def test_composites_change_the_class_of_objects_and_nothing_of_their_boxes(tiny_run: Run, batches: Batches) -> None:
    slipped = 1 + tiny_run.experiment.classes.index(SLIPPED.makes)
    bare = 1 + tiny_run.experiment.classes.index(SLIPPED.upper)
    plain = batches(12, augmentation=PLAIN, balance=Balance())
    made = batches(
        12, augmentation=PLAIN.model_copy(update={"composite": 1.0, "composite_of": SLIPPED}), balance=Balance()
    )
    changes = set()
    for (_, before), (_, after) in zip(plain, made, strict=True):
        for kind in ("box_targets", "cls_weights", "box_weights"):
            for one, other in zip(np_leaves(before[kind]), np_leaves(after[kind]), strict=True):
                np.testing.assert_array_equal(one, other)
        pairs = zip(np_leaves(before["cls_targets"]), np_leaves(after["cls_targets"]), strict=True)
        changes |= {pair for one, other in pairs for pair in zip(one.ravel(), other.ravel(), strict=True)}
    assert {(int(one), int(other)) for one, other in changes if one != other} == {(bare, slipped)}


def np_leaves(tree: Any) -> list[np.ndarray[Any, np.dtype[Any]]]:
    import tensorflow as tf

    return [np.asarray(leaf) for leaf in tf.nest.flatten(tree)]


def flat(levels: dict[str, Any], size: int) -> np.ndarray[Any, np.dtype[Any]]:
    return np.concatenate([level.reshape(-1, size) for level in levels.values()])


def test_a_mosaic_is_made_of_four_pictures_of_which_the_first_is_the_one_whose_turn_it_is(
    tiny_run: Run, tmp_path: Path
) -> None:
    import tensorflow as tf

    from vigie.training.inputs import TrainingInputs
    from vigie.training.labelling import Labeller
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB
    from vigie.training.order import ordered_examples

    def colour(number: int) -> tuple[int, int, int]:
        return 40 * number, 250 - 40 * number, 100

    path = tmp_path / "plain.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(6):
            encoded = encode_jpeg(np.full((64, 96, 3), colour(number), np.uint8))
            picture = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
            name = tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(number).encode()]))
            features = tf.train.Features(feature={"image/encoded": picture, "image/source_id": name})
            writer.write(tf.train.Example(features=features).SerializeToString())

    turns = [
        int(tf.train.Example.FromString(one).features.feature["image/source_id"].bytes_list.value[0])
        for one in islice(ordered_examples([path], seed=1).as_numpy_iterator(), 12)
    ]
    inputs = TrainingInputs([path], 12, 1, Augmentation(flip=0, scale=0, mosaic=1), Balance(), (1, 1, 1), "stretch")
    labeller = Labeller(tiny_run.experiment.model, tiny_run.experiment.assignment)
    images, _ = next(inputs.batches(labeller).as_numpy_iterator())
    pixels = images * PIXEL_STD_RGB + PIXEL_MEAN_RGB
    corners = pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    shown = (corners[..., 0] / 40).round().astype(int)
    assert np.abs(corners - np.array([colour(number) for number in range(6)])[shown]).max() < 4
    assert shown[:, 0].tolist() == turns
    # The partners of twelve pictures are six epochs of another order.
    assert Counter(shown[:, 1:].ravel().tolist()) == dict.fromkeys(range(6), 6)


def test_at_half_the_chance_half_the_pictures_are_mosaics(batches: Batches) -> None:
    half = Augmentation(flip=0, scale=0, mosaic=0.5)
    plain = [image.tobytes() for image, _ in batches(60, batch=1, augmentation=PLAIN, balance=Balance())]
    mixed = [image.tobytes() for image, _ in batches(60, batch=1, augmentation=half, balance=Balance())]
    unchanged = sum(one == other for one, other in zip(plain, mixed, strict=True))
    assert 15 <= unchanged <= 45
