"""The pictures that are told to be in a batch are those in it."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from vigie.experiment import Augmentation, Balance
from vigie.pictures import encode_jpeg

PICTURES = 6


def colour(number: int) -> tuple[int, int, int]:
    return 40 * number, 250 - 40 * number, 100


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each picture is of one colour, which tells its name."""
    import tensorflow as tf

    path = tmp_path_factory.mktemp("turns") / "plain.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(PICTURES):
            encoded = encode_jpeg(np.full((64, 96, 3), colour(number), np.uint8))
            values = {
                "image/encoded": encoded,
                "image/filename": f"{number}.jpg".encode(),
                "image/source_id": str(number).encode(),
            }
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in values.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


def shown(images: np.ndarray, at: Sequence[tuple[int, int]]) -> list[list[str]]:
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB

    pixels = images * PIXEL_STD_RGB + PIXEL_MEAN_RGB
    return [[f"{round(float(picture[y, x, 0]) / 40)}.jpg" for y, x in at] for picture in pixels]


@pytest.mark.parametrize("mosaic", [0.0, 0.5], ids=["plain", "mosaics"])
def test_the_names_of_a_step_are_those_of_its_pictures(records: Path, mosaic: float) -> None:
    from vigie.experiment import Experiment, ModelSpec, Schedule
    from vigie.training.inputs import TrainingInputs
    from vigie.training.labelling import Labeller
    from vigie.training.turns import names

    model = ModelSpec(
        input_width=96,
        input_height=64,
        backbone_width=0.35,
        fpn_filters=16,
        head_convs=1,
    )
    experiment = Experiment(name="turns", classes=("one",), model=model, training=Schedule(steps=1))
    augmentation = Augmentation(flip=0, scale=0, mosaic=mosaic)
    inputs = TrainingInputs([records], 4, 7, augmentation, Balance(), (1.0,), "stretch")
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    batches = list(islice(inputs.batches(Labeller(model, experiment.assignment)).as_numpy_iterator(), 5))
    mosaics = 0
    for step in (1, 3, 5):  # the last is in the fourth epoch
        expected = []
        for name in names(inputs, step):
            own, _, partners = name.partition(" in a mosaic with ")
            mosaics += bool(partners)
            expected.append([own, *partners.split(", ")] if partners else [own] * 4)
        assert shown(batches[step - 1][0], corners) == expected
    assert bool(mosaics) == bool(mosaic)


def test_the_picture_that_something_is_pasted_from_is_named(records: Path) -> None:
    from vigie.training.inputs import TrainingInputs
    from vigie.training.order import ordered_examples
    from vigie.training.turns import encoded, names

    inputs = TrainingInputs([records], 4, 7, Augmentation(paste=1.0), Balance(), (1.0,), "stretch", (1.0,))
    donors = ordered_examples([records], seed=7, stream=2).skip(4).take(4).as_numpy_iterator()
    expected = [encoded_name(one) for one in donors]
    assert [name.partition(" with an object of ")[2] for name in names(inputs, 2)] == expected
    assert [name for name, _ in encoded(inputs, 2)][1::2] == expected


def encoded_name(serialised: bytes) -> str:
    import tensorflow as tf

    return str(tf.train.Example.FromString(serialised).features.feature["image/filename"].bytes_list.value[0].decode())
