"""Whose turn it is at a step: the pictures of a batch, told again from the records without decoding any."""

from collections.abc import Iterator, Sequence

import tensorflow as tf

from vigie.training.inputs import MOSAIC_PARTNERS, TrainingInputs
from vigie.training.order import example_seed

_NAME, _PICTURE = "image/filename", "image/encoded"


def names(inputs: TrainingInputs, step: int) -> list[str]:
    """The file names of the batch of a step, from 1, in its order, with those of a mosaic's partners and of the picture
    that something was pasted from.

    The records are read up to there again: seconds for some thousand pictures.
    """
    found = []
    for position, own, partners in _turns(inputs, step):
        seed = example_seed(inputs.seed, tf.constant(position))
        name = _name(own)
        if inputs.augmentation.mosaic and inputs.mosaic_draw(seed)[0]:
            name += f" in a mosaic with {', '.join(_name(one) for one in partners[:MOSAIC_PARTNERS])}"
        if inputs.augmentation.paste and inputs.paste_draw(seed)[0]:
            name += f" with an object of {_name(partners[-1])}"
        found.append(name)
    return found


def encoded(inputs: TrainingInputs, step: int) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of each picture that a step may decode."""
    for _, own, partners in _turns(inputs, step):
        for one in (own, *partners):
            yield _name(one), _bytes(one, _PICTURE)


def _turns(inputs: TrainingInputs, step: int) -> Iterator[tuple[int, bytes, Sequence[bytes]]]:
    """Position, serialised example, and the partners that it would have in a mosaic and for pasting."""
    turns = inputs.examples(begin=(step - 1) * inputs.batch).take(inputs.batch)
    for position, own, *partners in turns.as_numpy_iterator():
        yield int(position), own, partners[0] if partners else ()


def _name(serialised: bytes) -> str:
    return _bytes(serialised, _NAME).decode() or "a picture without a name"


def _bytes(serialised: bytes, name: str) -> bytes:
    values = tf.train.Example.FromString(serialised).features.feature[name].bytes_list.value
    return bytes(values[0]) if values else b""
