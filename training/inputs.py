"""The pictures and labels of a training: ordered, balanced and augmented anew each time.

Nothing is cached, so no draw is frozen after the first epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from official.vision.dataloaders.tf_example_decoder import TfExampleDecoder

from vigie.experiment import Augmentation, Balance
from vigie.resizing import Resize
from vigie.training.augmentation.augment import augment
from vigie.training.augmentation.composite import CompositeIds, composite
from vigie.training.augmentation.draws import sometimes
from vigie.training.augmentation.mosaic import mosaic
from vigie.training.augmentation.paste import paste
from vigie.training.balance import by_class_id, class_ids, weighted
from vigie.training.labelling import Labeller
from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB
from vigie.training.order import example_seed, ordered_examples

Annotated: TypeAlias = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""A picture [h, w, 3], its boxes [n, 4] as shares of its sides (top, left, bottom, right), its class ids [n]."""

_READY_BATCHES = 4  # when they wait to be trained on, the reading waits
MOSAIC_PARTNERS = 3


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """`factors` are those of the classes, in their order, from `vigie.data.balance.class_factors`; `resize` is how
    pictures come to the input, as it will be at detection. `rarity` are their repeat factors whatever the method of
    the balance, needed for pasting: what is pasted is of a class above 1 where there is one. `classes` are needed for
    composites."""

    files: Sequence[Path]
    batch: int
    seed: int
    augmentation: Augmentation
    balance: Balance
    factors: Sequence[float]
    resize: Resize
    rarity: Sequence[float] = ()
    classes: Sequence[str] = ()

    def batches(
        self, labeller: Labeller, *, first_step: int = 0, context: tf.distribute.InputContext | None = None
    ) -> tf.data.Dataset:
        """Batches without end: normalised pictures of the labeller's input size, and their labels.

        With `first_step` they are those that follow after so many steps. With the `context` that a strategy gives they
        are the shares of its replicas here, one after the other: of n workers the i-th has the examples i, i + n, ...
        of each batch, so that all together learn from the pictures that a single one would.
        """
        context = context or tf.distribute.InputContext()
        height, width = labeller.input_size
        method = self.balance.method
        weights = by_class_id(list(self.factors)) if method == "class_weights" else None

        def example(position: tf.Tensor, serialised: tf.Tensor, partners: tf.Tensor | None = None) -> Any:
            seed = example_seed(self.seed, position)
            drawn = self._drawn(serialised, partners, seed, height, width)
            image, boxes, ids = augment(*drawn, seed, self.augmentation, height, width, self.resize)
            labels = labeller(boxes * tf.constant([height, width, height, width], tf.float32), ids)
            image = _normalised(image, height, width)
            return image, labels if weights is None else weighted(labels, weights)

        examples = self.examples(begin=first_step * self.batch)
        examples = examples.shard(context.num_input_pipelines, context.input_pipeline_id)
        examples = examples.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        share = context.get_per_replica_batch_size(self.batch)
        replicas_here = context.num_replicas_in_sync // context.num_input_pipelines
        return examples.batch(share, drop_remainder=True).prefetch(_READY_BATCHES * replicas_here)

    def examples(self, *, begin: int) -> tf.data.Dataset:
        """Position and serialised example, and where there are such its partners: a mosaic's, then the one that an
        object is pasted from.
        """
        factors = by_class_id(list(self.factors)) if self.balance.method == "repeat_factors" else None
        examples = ordered_examples(self.files, seed=self.seed, factors=factors).enumerate().skip(begin)
        others = []
        if self.augmentation.mosaic:
            partners = ordered_examples(self.files, seed=self.seed, stream=1, factors=factors)
            others.append(partners.skip(MOSAIC_PARTNERS * begin).batch(MOSAIC_PARTNERS))
        if self.augmentation.paste:
            others.append(self._donors().skip(begin).batch(1))
        if not others:
            return examples
        return tf.data.Dataset.zip(examples, *others).map(lambda numbered, *more: (*numbered, tf.concat(more, axis=0)))

    def _donors(self) -> tf.data.Dataset:
        """Examples that show a rare class, without end; all of them where no class is rare."""
        examples = ordered_examples(self.files, seed=self.seed, stream=2)
        rarity = by_class_id(list(self.rarity))
        if not any(factor > 1 for factor in self.rarity):
            return examples
        return examples.filter(lambda serialised: tf.reduce_any(tf.gather(rarity, class_ids(serialised)) > 1))

    def mosaic_draw(self, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Whether the example of this seed becomes a mosaic, and the seed of its layout."""
        chosen, layout = tf.unstack(tf.random.split(tf.random.fold_in(seed, tf.constant(1, tf.int64)), 2))
        return tf.random.stateless_uniform([], chosen) < self.augmentation.mosaic, layout

    def paste_draw(self, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Whether something is pasted onto the example of this seed, and the seed of how."""
        chosen, layout = tf.unstack(tf.random.split(tf.random.fold_in(seed, tf.constant(2, tf.int64)), 2))
        return tf.random.stateless_uniform([], chosen) < self.augmentation.paste, layout

    def _drawn(
        self, serialised: tf.Tensor, partners: tf.Tensor | None, seed: tf.Tensor, height: int, width: int
    ) -> Annotated:
        """The picture, or at the chances of the augmentation a mosaic with its partners, an object of its donor on it,
        and one made of two of its own; what is not needed is not decoded."""
        drawn = _annotated(serialised)
        if self.augmentation.mosaic and partners is not None:
            chosen, layout = self.mosaic_draw(seed)
            four = (serialised, *tf.unstack(partners[:MOSAIC_PARTNERS], MOSAIC_PARTNERS))

            def combined() -> Annotated:
                images, boxes, ids = zip(*map(_annotated, four), strict=True)
                return mosaic(images, boxes, ids, layout, height, width, self.resize)

            drawn = tf.cond(chosen, combined, lambda: _annotated(serialised))
        if self.augmentation.paste and partners is not None:
            chosen, layout = self.paste_draw(seed)
            favour, bare = by_class_id(list(self.rarity)), drawn
            drawn = tf.cond(chosen, lambda: paste(bare, _annotated(partners[-1]), favour, layout), lambda: bare)
        return self._with_composite(drawn, tf.random.fold_in(seed, tf.constant(3, tf.int64)))

    def _with_composite(self, drawn: Annotated, seed: tf.Tensor) -> Annotated:
        of = self.augmentation.composite_of
        if not self.augmentation.composite or of is None:
            return drawn
        ids = CompositeIds(*(1 + self.classes.index(label) for label in (of.upper, of.lower, of.makes)))
        made: Annotated = sometimes(
            self.augmentation.composite, seed, lambda: composite(drawn, ids, seed), lambda: drawn
        )
        return made


def _normalised(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Row by row: TensorFlow takes some four times as long over three numbers for each pixel, with the same result."""
    mean, deviation = (np.tile(np.array(of_pixel, np.float32), width) for of_pixel in (PIXEL_MEAN_RGB, PIXEL_STD_RGB))
    rows = tf.reshape(image, (height, width * 3))
    return tf.reshape((rows - mean) / deviation, (height, width, 3))


def _annotated(serialised: tf.Tensor) -> Annotated:
    """Crowds, which are boxes around many objects, are left out as Model Garden leaves them out."""
    decoded = TfExampleDecoder().decode(serialised)
    single = tf.logical_not(decoded["groundtruth_is_crowd"])
    boxes = tf.boolean_mask(decoded["groundtruth_boxes"], single)
    return decoded["image"], boxes, tf.boolean_mask(decoded["groundtruth_classes"], single)
