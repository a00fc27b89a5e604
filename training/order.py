"""The order in which a training sees its examples: a function of the seed and the position, of nothing else.

So the same seed gives the same training, no two epochs are alike, and a training that was interrupted goes on with the
very examples that would have come.
"""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from vigie.training.balance import repeats

SHUFFLED_EXAMPLES = 2000  # still encoded: some 200 MB of photographs
_PARALLEL_FILES = 4


def example_seed(seed: int, position: tf.Tensor) -> tf.Tensor:
    """What all draws for the example at a position, from 0 over all epochs, come from; [2] int64."""
    return tf.stack([tf.constant(seed, tf.int64), tf.cast(position, tf.int64)])


def ordered_examples(
    files: Sequence[Path], *, seed: int, stream: int = 0, factors: tf.Tensor | None = None
) -> tf.data.Dataset:
    """Serialised examples, epoch after epoch without end.

    Streams of different numbers have different orders. With `factors`, by class id, pictures of rare classes come
    more often than once an epoch.
    """
    names = tf.constant([str(path) for path in files])

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # A shuffle mixes its seed with its graph's, which is the whole program's unless it is set. 0 would be none.
        tf.random.set_seed(1)
        # Positions are not negative: no epoch shares its draws with an example.
        epoch_seed = _folded(example_seed(seed, -1 - number), stream)
        shuffle_seed = tf.random.stateless_uniform([], epoch_seed, None, None, tf.int64)
        shards = tf.data.Dataset.from_tensor_slices(names)
        shards = shards.shuffle(len(files), seed=shuffle_seed, reshuffle_each_iteration=False)
        examples = tf.data.TFRecordDataset(shards, num_parallel_reads=min(_PARALLEL_FILES, len(files)))
        if factors is not None:
            examples = examples.enumerate().flat_map(
                lambda place, serialised: tf.data.Dataset.from_tensors(serialised).repeat(
                    repeats(serialised, factors, _folded(epoch_seed, place))
                )
            )
        return examples.shuffle(SHUFFLED_EXAMPLES, seed=shuffle_seed, reshuffle_each_iteration=False)

    return tf.data.Dataset.range(tf.int64.max).flat_map(epoch)


def _folded(seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    return tf.random.fold_in(seed, tf.cast(number, tf.int64))
