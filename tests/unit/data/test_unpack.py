"""Records of the TF Object Detection API come back as a set that can be prepared again."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vigie.cartoons import LABELS
from vigie.data.prepare import PARTS, prepare, read_part, read_set
from vigie.data.unpack import read_label_map, unpack
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData, BadPicture
from vigie.pictures import encode_jpeg

PICTURE = encode_jpeg(np.zeros((80, 200, 3), np.uint8))
MAP = 'item {\n  name: "cat"\n  id: 4\n}\nitem { id: 7 name: \'dog\\\'s\' display_name: "x" }\n'


def record(path: Path, *examples: dict[str, list[float] | list[int] | list[bytes]]) -> None:
    import tensorflow as tf

    def feature(values: list) -> tf.train.Feature:
        if values and isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if values and isinstance(values[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            features = tf.train.Features(feature={f"image/{name}": feature(found) for name, found in example.items()})
            writer.write(tf.train.Example(features=features).SerializeToString())


def example(**changes: list) -> dict[str, list]:
    usual: dict[str, list] = {
        "encoded": [PICTURE],
        "filename": [b"a.png"],
        "object/bbox/xmin": [0.1],
        "object/bbox/ymin": [0.25],
        "object/bbox/xmax": [0.55],
        "object/bbox/ymax": [1.0],
        "object/class/label": [7],
    }
    return usual | changes


def test_what_was_prepared_comes_back_with_its_bytes_and_its_boxes(cartoon_set: Path, tmp_path: Path) -> None:
    prepare(cartoon_set, tmp_path / "records", classes=LABELS, progress=False)
    out = unpack(tmp_path / "records", tmp_path / "voc", progress=False)
    wanted = {s.filename: s for part in PARTS for s in read_part(tmp_path / "records", part)}
    found = {s.filename: s for s in read_set(out)}
    assert {name: (s.picture.jpeg(), s.objects) for name, s in found.items()} == {
        name: (s.picture.jpeg(), s.objects) for name, s in wanted.items()
    }


def test_ids_are_named_by_the_label_map_and_names_that_repeat_are_told_apart(tmp_path: Path) -> None:
    source = tmp_path / "records"
    source.mkdir()
    (source / "label_map.pbtxt").write_text(MAP, encoding="utf-8")
    record(source / "a.record", example(), example(filename=[b"../../a.jpg"]))
    record(source / "b.record", {"encoded": [PICTURE]})
    out = unpack(source, tmp_path / "voc", progress=False)
    marked = (LabelledBox("dog's", Box(20, 20, 110, 80)),)
    assert [(sample.filename, sample.objects) for sample in read_set(out)] == [
        ("a.jpg", marked),
        ("a_2.jpg", marked),
        ("picture.jpg", ()),
    ]


def test_boxes_of_a_turned_picture_lie_as_the_size_in_the_record_tells(tmp_path: Path) -> None:
    exif, encoded = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # the left edge of what is stored is the top of what is seen
    Image.new("RGB", (200, 80)).save(encoded, "JPEG", exif=exif)
    for name, width, height in (("after", 80, 200), ("before", 200, 80)):
        changes = {"encoded": [encoded.getvalue()], "width": [width], "height": [height]}
        record(tmp_path / f"{name}.record", example(filename=[name.encode()], **changes))
    (tmp_path / "label_map.pbtxt").write_text(MAP, encoding="utf-8")
    samples = list(read_set(unpack(tmp_path, tmp_path / "voc", progress=False)))
    assert [sample.objects[0].box for sample in samples] == [Box(8, 50, 44, 200), Box(0, 20, 60, 110)]


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"encoded": [b"nothing"]}, BadPicture, "record 2: not a picture"),
        ({"object/class/label": [5]}, BadAnnotation, "record 2: object 1: its class is in no label map"),
        ({"object/class/label": [7, 7]}, BadAnnotation, r"record 2: corners and classes .* differ in number: \[1, 2\]"),
        ({"object/bbox/xmax": [0.1]}, BadAnnotation, "record 2: object 1: a box needs an area"),
    ],
)
def test_what_is_wrong_names_file_and_record_and_leaves_nothing(
    tmp_path: Path, changes: dict[str, list], kind: type[Exception], message: str
) -> None:
    (tmp_path / "label_map.pbtxt").write_text(MAP, encoding="utf-8")
    record(tmp_path / "a.record", example(), example(**changes))
    with pytest.raises(kind, match=rf"a\.record: {message}"):
        unpack(tmp_path, tmp_path / "voc", progress=False)
    assert not (tmp_path / "voc").exists()


def test_damaged_records_absent_ones_and_broken_label_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"expected \*\.record or \*\.tfrecord files"):
        unpack(tmp_path, tmp_path / "voc", progress=False)
    record(tmp_path / "a.record", example(**{"object/class/text": [b"cat"]}), example())
    whole = (tmp_path / "a.record").read_bytes()
    (tmp_path / "a.record").write_bytes(whole[:-9])
    with pytest.raises(BadData, match=r"a\.record: is damaged after record 1"):
        unpack(tmp_path, tmp_path / "voc", progress=False)
    (tmp_path / "label_map.pbtxt").write_text("item { id: 3 }", encoding="utf-8")
    with pytest.raises(BadAnnotation, match="line 1: an item needs an id of its own and a name"):
        read_label_map(tmp_path / "label_map.pbtxt")


def test_a_label_map_with_key_points_and_angle_brackets_loses_no_class(tmp_path: Path) -> None:
    text = "item { id: 1 name: 'cat' keypoints { id: 7 label: 'nose' } }\nitem < id: 2 name: \"dog\" >  # a comment\n"
    (tmp_path / "label_map.pbtxt").write_text(text, encoding="utf-8")
    assert read_label_map(tmp_path / "label_map.pbtxt") == {1: "cat", 2: "dog"}
