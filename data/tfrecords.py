"""TFRecords as Model Garden's `official.vision.dataloaders.tf_example_decoder` reads them: one Example a picture."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from vigie.data.manifest import load_manifest
from vigie.data.parts import Part, Sample
from vigie.data.source import Source
from vigie.domain import Box, LabelledBox
from vigie.errors import BadData
from vigie.pictures import Picture


def example(source: Source, jpeg: bytes, classes: Sequence[str]) -> bytes:
    """A serialised `tf.train.Example`; boxes as shares of the sides, class ids from 1."""
    boxes = [labelled.box for labelled in source.objects]
    features = {
        "image/encoded": _bytes([jpeg]),
        "image/format": _bytes([b"jpeg"]),
        "image/filename": _bytes([source.path.name.encode()]),
        "image/source_id": _bytes([str(source.source_id).encode()]),
        "image/height": _ints([source.height]),
        "image/width": _ints([source.width]),
        "image/object/bbox/xmin": _floats([box.left / source.width for box in boxes]),
        "image/object/bbox/xmax": _floats([box.right / source.width for box in boxes]),
        "image/object/bbox/ymin": _floats([box.top / source.height for box in boxes]),
        "image/object/bbox/ymax": _floats([box.bottom / source.height for box in boxes]),
        "image/object/class/label": _ints([classes.index(labelled.label) + 1 for labelled in source.objects]),
        "image/object/class/text": _bytes([labelled.label.encode() for labelled in source.objects]),
        "image/object/area": _floats([box.area for box in boxes]),
        "image/object/is_crowd": _ints([0] * len(boxes)),
    }
    whole = tf.train.Example(features=tf.train.Features(feature=features))
    # Without this the order of the features changes from run to run.
    return bytes(whole.SerializeToString(deterministic=True))


def _bytes(values: list[bytes]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: list[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def write_shard(path: Path, examples: Iterable[bytes]) -> None:
    """One record an example."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for serialised in examples:
            writer.write(serialised)


def read_part(records: Path, part: Part) -> Iterator[Sample]:
    """The samples of a part in the order of its shards. Boxes are right to a hundredth of a pixel.

    Raises:
        BadData: the records are missing, half-made or damaged.
    """
    manifest = load_manifest(records)
    for name in manifest.parts[part].shards:
        dataset = tf.data.TFRecordDataset(str(records / name))
        try:
            for record in dataset.as_numpy_iterator():
                yield _sample(tf.train.Example.FromString(record), manifest.classes)
        except tf.errors.DataLossError as error:
            raise BadData(f"{records / name}: is damaged; run `vigie data prepare` (or `make data`) again") from error


def _sample(record: tf.train.Example, classes: Sequence[str]) -> Sample:
    feature = record.features.feature

    def floats(name: str) -> Sequence[float]:
        values: Sequence[float] = feature[name].float_list.value
        return values

    picture = Picture.from_bytes(feature["image/encoded"].bytes_list.value[0])
    corners = zip(
        floats("image/object/bbox/xmin"), floats("image/object/bbox/ymin"),
        floats("image/object/bbox/xmax"), floats("image/object/bbox/ymax"), strict=True,
    )  # fmt: skip
    width, height = picture.width, picture.height
    boxes = [
        # Records hold shares in single precision: rounding gives whole pixels back.
        Box(round(xmin * width, 2), round(ymin * height, 2), round(xmax * width, 2), round(ymax * height, 2))
        for xmin, ymin, xmax, ymax in corners
    ]
    ids = feature["image/object/class/label"].int64_list.value
    return Sample(
        source_id=int(feature["image/source_id"].bytes_list.value[0]),
        filename=feature["image/filename"].bytes_list.value[0].decode(),
        picture=picture,
        objects=tuple(LabelledBox(classes[number - 1], box) for number, box in zip(ids, boxes, strict=True)),
    )
