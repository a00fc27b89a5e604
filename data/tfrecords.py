"""TFRecords are read back through TensorFlow, which is loaded for that alone; see `vigie.data.examples` for writing."""

# ruff: noqa: PLC0415

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vigie.data.manifest import load_manifest
from vigie.data.parts import Part, Sample
from vigie.domain import Box, LabelledBox
from vigie.errors import BadData
from vigie.pictures import Picture


def read_part(records: Path, part: Part) -> Iterator[Sample]:
    """The samples of a part in the order of its shards. Boxes are right to a hundredth of a pixel.

    Raises:
        BadData: the records are missing, half-made or damaged.
    """
    import tensorflow as tf

    manifest = load_manifest(records)
    for name in manifest.parts[part].shards:
        dataset = tf.data.TFRecordDataset(str(records / name))
        try:
            for record in dataset.as_numpy_iterator():
                yield _sample(tf.train.Example.FromString(record), manifest.classes)
        except tf.errors.DataLossError as error:
            raise BadData(f"{records / name}: is damaged; run `vigie data prepare` (or `make data`) again") from error


def _sample(record: Any, classes: Sequence[str]) -> Sample:
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
