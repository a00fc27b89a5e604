"""A contact sheet: what the augmentation of an experiment makes of real pictures, for a person to judge."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from vigie.data.parts import Sample
from vigie.data.prepare import load_manifest, read_part
from vigie.drawing import PALETTE
from vigie.experiment import Augmentation
from vigie.resizing import Resize
from vigie.training.augmentation.augment import augment
from vigie.training.augmentation.composite import CompositeIds, composite
from vigie.training.augmentation.draws import sometimes
from vigie.training.augmentation.mosaic import mosaic
from vigie.training.augmentation.paste import paste
from vigie.training.augmentation.windows import Annotated

_COLUMN_INCHES = 2.6


def contact_sheet(
    records: Path,
    spec: Augmentation,
    width: int,
    height: int,
    seed: int = 1,
    pictures: int = 4,
    variants: int = 5,
    resize: Resize = "stretch",
) -> Figure:
    """A row each for the first pictures of the part train: as it is, then as the model may see it, boxes drawn.

    Variants are drawn by the chances of `spec`; of the last ones as many are mosaics as its chance says, one at least
    where there is one. `width` and `height` are the model's input, `resize` is how pictures come to it.

    Raises:
        BadData: the records are missing, half-made or damaged.
    """
    labels = load_manifest(records).classes
    samples = list(islice(read_part(records, "train"), pictures + 3))  # a mosaic takes three more
    originals = [_original(sample, labels) for sample in samples]
    donor = _of_the_rarest(records, labels) if spec.paste else None
    of = spec.composite_of if spec.composite else None
    ids = None if of is None else CompositeIds(*map(labels.index, (of.upper, of.lower, of.makes)))
    rows = [
        _row([originals[(number + step) % len(originals)] for step in range(4)], donor, ids, spec, (height, width),
             resize, seeds)
        for number, seeds in enumerate(_seeds(seed, min(pictures, len(samples)), variants))
    ]  # fmt: skip
    figure = Figure(
        figsize=(_COLUMN_INCHES * (variants + 1), (_COLUMN_INCHES * height / width + 0.2) * len(rows) + 0.7),
        layout="constrained",
    )
    axes = figure.subplots(len(rows), variants + 1, squeeze=False)
    for number, (places, row) in enumerate(zip(axes, rows, strict=True)):
        for place, annotated in zip(places, row, strict=True):
            _show(place, annotated)
        places[0].set_title(samples[number].filename, fontsize=8)
        for place in places[variants + 1 - _mosaics(spec, variants) :]:
            place.set_title("mosaic", fontsize=8)
    figure.suptitle("Training pictures as they are (left) and as the model sees them")
    patches = [Patch(color=_colour(number), label=name) for number, name in enumerate(labels)]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _mosaics(spec: Augmentation, variants: int) -> int:
    return max(1, round(spec.mosaic * variants)) if spec.mosaic and variants else 0


def _of_the_rarest(records: Path, labels: Sequence[str]) -> Annotated:
    """The objects of the rarest class on the first training picture that shows one."""
    boxes = load_manifest(records).parts["train"].boxes
    rarest = min((label for label in labels if boxes.get(label)), key=boxes.__getitem__)
    samples = read_part(records, "train")
    image, corners, classes = next(
        _original(sample, labels) for sample in samples if any(item.label == rarest for item in sample.objects)
    )
    shown = classes == labels.index(rarest)
    return image, tf.boolean_mask(corners, shown), tf.boolean_mask(classes, shown)


def _original(sample: Sample, labels: Sequence[str]) -> Annotated:
    """Classes count from 0."""
    picture, objects = sample.picture, sample.objects
    corners = [[item.box.top, item.box.left, item.box.bottom, item.box.right] for item in objects]
    boxes = np.array(corners, np.float32).reshape(-1, 4) / np.tile([picture.height, picture.width], 2)
    classes = np.array([labels.index(item.label) for item in objects], np.int64)
    return tf.constant(picture.rgb()), tf.constant(boxes, tf.float32), tf.constant(classes)


def _seeds(seed: int, rows: int, columns: int) -> list[list[tf.Tensor]]:
    return [[tf.constant([seed, row * columns + column], tf.int64) for column in range(columns)] for row in range(rows)]


def _row(
    four: Sequence[Annotated],
    donor: Annotated | None,
    ids: CompositeIds | None,
    spec: Augmentation,
    size: tuple[int, int],
    resize: Resize,
    seeds: Sequence[tf.Tensor],
) -> list[Annotated]:
    """The first of the four as it is, then a variant a seed."""
    images, boxes, classes = zip(*four, strict=True)
    made = [four[0]]
    for column, seed in enumerate(seeds):
        is_mosaic = column >= len(seeds) - _mosaics(spec, len(seeds))
        annotated = mosaic(images, boxes, classes, seed, *size, resize) if is_mosaic else four[0]
        if donor is not None:
            annotated = _with_a_copy(annotated, donor, spec, seed)
        if ids is not None:
            annotated = _with_a_composite(annotated, ids, spec, seed)
        made.append(augment(*annotated, seed, spec, *size, resize))
    return made


def _with_a_copy(annotated: Annotated, donor: Annotated, spec: Augmentation, seed: tf.Tensor) -> Annotated:
    favour = tf.ones(1 + int(tf.reduce_max(donor[2])))
    return sometimes(spec.paste, seed, lambda: paste(annotated, donor, favour, seed), lambda: annotated)


def _with_a_composite(annotated: Annotated, ids: CompositeIds, spec: Augmentation, seed: tf.Tensor) -> Annotated:
    return sometimes(spec.composite, seed, lambda: composite(annotated, ids, seed), lambda: annotated)


def _show(place: Axes, annotated: Annotated) -> None:
    image, boxes, classes = (part.numpy() for part in annotated)
    place.axis("off")
    place.imshow(np.round(image).astype(np.uint8))
    corners_px: npt.NDArray[np.float64] = boxes * np.tile(image.shape[:2], 2)
    for (top, left, bottom, right), number in zip(corners_px, classes, strict=True):
        place.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, linewidth=1.2,
                      edgecolor=_colour(int(number)))
        )  # fmt: skip


def _colour(number: int) -> tuple[float, ...]:
    return tuple(part / 255 for part in PALETTE[number % len(PALETTE)])
