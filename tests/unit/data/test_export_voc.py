"""What was imported goes out as Pascal VOC again, and comes back the same to the last bit."""

import io
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import needs
import other_formats
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from PIL import Image

from vigie import voc
from vigie.cartoons import LABELS
from vigie.data.export_voc import Exported, export_voc
from vigie.data.parts import PARTS
from vigie.data.prepare import prepare, read_part, read_set
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData
from vigie.layouts import open_set

# As LabelImg 1.8 writes it; the box reaches past the edge, as its boxes do.
LABELIMG = """<annotation verified="yes">
\t<folder>faces</folder>
\t<filename>a b.png</filename>
\t<path>C:\\Users\\me\\faces\\a b.png</path>
\t<source>
\t\t<database>Unknown</database>
\t</source>
\t<size>
\t\t<width>128</width>
\t\t<height>96</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
\t<object>
\t\t<name>sans masque &amp; &lt;co&gt; é</name>
\t\t<pose>Left</pose>
\t\t<truncated>1</truncated>
\t\t<difficult>1</difficult>
\t\t<bndbox>
\t\t\t<xmin>12</xmin>
\t\t\t<ymin>0</ymin>
\t\t\t<xmax>130</xmax>
\t\t\t<ymax>40</ymax>
\t\t</bndbox>
\t</object>
</annotation>
"""
# As Label Studio's converter writes it, into images/ and Annotations/: the picture's name lacks its ending.
LABEL_STUDIO = """<?xml version="1.0" encoding="utf-8"?>
<annotation>
<folder>images</folder>
<filename>3f2a-photo</filename>
<source>
<database>MyDatabase</database>
<annotation>COCO2017</annotation>
<image>flickr</image>
<flickrid>NULL</flickrid>
<annotator>1</annotator>
</source>
<owner>
<flickrid>NULL</flickrid>
<name>Label Studio</name>
</owner>
<size>
<width>128</width>
<height>96</height>
<depth>3</depth>
</size>
<segmented>0</segmented>
<object>
<name>mask</name>
<pose>Unspecified</pose>
<truncated>0</truncated>
<difficult>0</difficult>
<bndbox>
<xmin>30</xmin>
<ymin>20</ymin>
<xmax>61</xmax>
<ymax>77</ymax>
</bndbox>
</object>
</annotation>
"""


def picture(path: Path, width: int = 128, height: int = 96, *, orientation: int = 1) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif, encoded = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.new("RGB", (width, height), (40, 90, 200)).save(
        encoded, "PNG" if path.suffix == ".png" else "JPEG", exif=exif
    )
    path.write_bytes(encoded.getvalue())
    return encoded.getvalue()


def said(root: Path) -> list[tuple[str, bytes, tuple[LabelledBox, ...]]]:
    """What a set says, boxes as they stand: neither clipped nor turned."""
    found = open_set(root)
    told = []
    for annotation in map(found.read, found.names):
        path = found.picture_of(annotation)
        told.append((path.name, path.read_bytes(), annotation.objects))
    return sorted(told)


def test_what_labelimg_wrote_comes_back_with_all_that_stands_in_it(tmp_path: Path) -> None:
    picture(tmp_path / "faces/a b.png")
    label = tmp_path / "faces/a b.xml"
    label.write_text(LABELIMG, encoding="utf-8")
    export_voc(tmp_path / "faces", tmp_path / "out", progress=False)
    assert (tmp_path / "out/Annotations/a b.xml").read_bytes() == label.read_bytes()
    assert said(tmp_path / "out") == said(tmp_path / "faces")
    assert said(tmp_path / "out")[0][2] == (LabelledBox("sans masque & <co> é", Box(11, -1, 130, 40)),)
    assert (tmp_path / "out/predefined_classes.txt").read_text(encoding="utf-8") == "sans masque & <co> é\n"


def test_what_label_studio_exported_comes_back(tmp_path: Path) -> None:
    picture(tmp_path / "set/images/3f2a-photo.jpg")
    (tmp_path / "set/Annotations").mkdir()
    (tmp_path / "set/Annotations/3f2a-photo.xml").write_text(LABEL_STUDIO, encoding="utf-8")
    done = export_voc(tmp_path / "set", tmp_path / "out", progress=False)
    assert done == Exported(pictures=1, objects=1)
    assert said(tmp_path / "out") == said(tmp_path / "set")
    assert said(tmp_path / "out")[0][2] == (LabelledBox("mask", Box(29, 19, 61, 77)),)
    found = etree.parse(tmp_path / "out/Annotations/3f2a-photo.xml")
    wanted = LABEL_STUDIO.replace("<filename>3f2a-photo<", "<filename>3f2a-photo.jpg<")
    assert etree.tostring(found) == etree.tostring(etree.fromstring(wanted.encode()))


def test_a_label_file_gets_its_pictures_name_and_keeps_the_rest(tmp_path: Path) -> None:
    """Real sets say .png and hold .jpg, and labelling tools find a label file by its picture's name."""
    picture(tmp_path / "set/images/a b.jpg")
    (tmp_path / "set/annotations").mkdir()
    (tmp_path / "set/annotations/a b.xml").write_text(LABELIMG, encoding="utf-8")
    export_voc(tmp_path / "set", tmp_path / "out", progress=False)
    wanted = LABELIMG.replace("<filename>a b.png", "<filename>a b.jpg")
    found = (tmp_path / "out/Annotations/a b.xml").read_bytes()
    assert etree.tostring(etree.fromstring(found)) == etree.tostring(etree.fromstring(wanted.encode()))
    assert said(tmp_path / "out") == said(tmp_path / "set")


@pytest.mark.parametrize("write", [other_formats.as_coco, other_formats.as_yolo])
def test_coco_and_yolo_go_out_as_they_came_in(cartoon_set: Path, tmp_path: Path, write) -> None:
    other = write(cartoon_set, tmp_path / "other", LABELS)
    done = export_voc(other, tmp_path / "out", progress=False)
    assert said(tmp_path / "out") == said(other)
    assert (done.pictures, done.unlabelled) == (30, 0)
    assert [s.objects for s in read_set(tmp_path / "out")] == [s.objects for s in read_set(other)]
    assert (tmp_path / "out/predefined_classes.txt").read_text(encoding="utf-8").split() == list(LABELS)
    export_voc(tmp_path / "out", tmp_path / "again", progress=False)
    assert said(tmp_path / "again") == said(other)


corner = st.floats(-1000, 1000, allow_nan=False) | st.integers(-5, 200).map(float) | st.floats(0, 1e-300)
labels = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: text == text.strip() and text.isprintable()
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(labels, corner, corner, corner, corner), max_size=4))
def test_any_boxes_of_any_labels_come_back_bit_equal(rows: list[tuple[str, float, float, float, float]]) -> None:
    objects = [
        LabelledBox(label, Box(min(a, c), min(b, d), max(a, c), max(b, d)))
        for label, a, b, c, d in rows
        if a != c and b != d
    ]
    with TemporaryDirectory() as name:
        root = Path(name) / "set"
        picture(root / "images/a.jpg")
        voc.write_annotation(root.joinpath("a.xml"), "a.jpg", 128, 96, objects)
        (root / "annotations").mkdir()
        root.joinpath("a.xml").rename(root / "annotations/a.xml")
        export_voc(root, root.parent / "out", progress=False)
        again = voc.read_annotation(root.parent / "out/Annotations/a.xml").objects
    assert again == tuple(objects)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(corner, corner, st.floats(1e-3, 500), st.floats(1e-3, 500)), min_size=1, max_size=4))
def test_boxes_of_coco_come_back_bit_equal(rows: list[tuple[float, float, float, float]]) -> None:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 128, "height": 96}],
        "categories": [{"id": 3, "name": "c"}],
        "annotations": [
            {"id": number, "image_id": 7, "category_id": 3, "bbox": list(row)} for number, row in enumerate(rows)
        ],
    }
    with TemporaryDirectory() as name:
        root = Path(name) / "set"
        picture(root / "images/a.jpg")
        (root / "instances.json").write_text(json.dumps(content), encoding="utf-8")
        export_voc(root, root.parent / "out", progress=False)
        assert said(root.parent / "out") == said(root)


def test_a_picture_that_lies_on_its_side_keeps_its_boxes(tmp_path: Path) -> None:
    """Drawn before turning (the size tells) or after, or in YOLO, which tells no size."""
    for name, size in (("before", (128, 96)), ("after", (96, 128))):
        picture(tmp_path / f"voc/images/{name}.jpg", orientation=6)
        (tmp_path / "voc/annotations").mkdir(exist_ok=True)
        marked = [LabelledBox("c", Box(10, 20, 60, 90))]
        voc.write_annotation(tmp_path / f"voc/annotations/{name}.xml", f"{name}.jpg", *size, marked)
    picture(tmp_path / "yolo/images/a.jpg", orientation=6)
    (tmp_path / "yolo/labels").mkdir()
    (tmp_path / "yolo/labels/a.txt").write_text("0 0.5 0.25 0.1 0.2\n", encoding="utf-8")
    (tmp_path / "yolo/classes.txt").write_text("c\n", encoding="utf-8")
    for kind in ("voc", "yolo"):
        export_voc(tmp_path / kind, tmp_path / f"{kind}_out", progress=False)
        wanted, found = (list(read_set(tmp_path / name)) for name in (kind, f"{kind}_out"))
        assert [sample.objects for sample in found] == [sample.objects for sample in wanted]
        assert said(tmp_path / f"{kind}_out") == said(tmp_path / kind)


def test_pictures_without_labels_lists_and_names_that_repeat_are_kept(tmp_path: Path) -> None:
    picture(tmp_path / "set/JPEGImages/a.jpg")
    picture(tmp_path / "set/JPEGImages/A.png")
    picture(tmp_path / "set/JPEGImages/new.jpg")
    (tmp_path / "set/Annotations").mkdir()
    for stem, filename in (("a", "a.jpg"), ("x", "A.png")):
        voc.write_annotation(tmp_path / f"set/Annotations/{stem}.xml", filename, 128, 96, [])
    lists = tmp_path / "set/ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("x\nnew.jpg\n", encoding="utf-8")
    (lists / "face_val.txt").write_text("a  1\nx -1\n", encoding="utf-8")
    done = export_voc(tmp_path / "set", tmp_path / "out", progress=False)
    assert done == Exported(pictures=2, objects=0, unlabelled=1, renamed={"JPEGImages/A.png": "A_2.png"})
    out = tmp_path / "out"
    assert sorted(path.name for path in (out / "images").iterdir()) == ["A_2.png", "a.jpg", "new.jpg"]
    assert sorted(path.name for path in (out / "Annotations").iterdir()) == ["A_2.xml", "a.xml"]
    assert (out / "ImageSets/Main/train.txt").read_text(encoding="utf-8") == "A_2\nnew.jpg\n"
    assert (out / "ImageSets/Main/face_val.txt").read_text(encoding="utf-8") == "a  1\nA_2 -1\n"
    facts = json.loads((out / "exported.json").read_text(encoding="utf-8"))
    assert facts["renamed"] == {"JPEGImages/A.png": "A_2.png"}


def test_prepared_records_go_out_with_their_parts(cartoon_set: Path, tmp_path: Path) -> None:
    prepare(cartoon_set, tmp_path / "records", classes=LABELS, progress=False)
    export_voc(tmp_path / "records", tmp_path / "out", progress=False)
    found = {sample.filename: sample for sample in read_set(tmp_path / "out")}
    for part, name in zip(PARTS, ("train.txt", "val.txt", "test.txt"), strict=True):
        samples = list(read_part(tmp_path / "records", part))
        stems = (tmp_path / "out/ImageSets/Main" / name).read_text(encoding="utf-8").splitlines()
        assert stems == sorted(Path(sample.filename).stem for sample in samples)
        for sample in samples:
            assert found[sample.filename].objects == sample.objects
            assert found[sample.filename].picture.jpeg() == sample.picture.jpeg()


def test_other_records_go_out_too(cartoon_set: Path, tmp_path: Path) -> None:
    prepare(cartoon_set, tmp_path / "records", classes=LABELS, progress=False)
    old = tmp_path / "old"
    old.mkdir()
    shards = [path for path in sorted((tmp_path / "records").iterdir()) if path.suffix == ".tfrecord"]
    for number, path in enumerate(shards):
        shutil.copyfile(path, old / f"{number}.record")
    with pytest.raises(BadData, match="vigie data unpack"):
        open_set(old)
    export_voc(old, tmp_path / "out", progress=False)
    samples = sorted((s for part in PARTS for s in read_part(tmp_path / "records", part)), key=lambda s: s.filename)
    assert [s.objects for s in read_set(tmp_path / "out")] == [s.objects for s in samples]
    assert not list((tmp_path / "out").glob(".*"))


def test_what_cannot_be_told_in_voc_is_named_and_leaves_nothing(cartoon_set: Path, tmp_path: Path) -> None:
    for label, message in (("a\x01", "XML has not"), ("mask ", "object 1: Pascal VOC makes")):
        root = tmp_path / label.strip().replace("\x01", "")
        picture(root / "images/a.jpg")
        (root / "labels").mkdir()
        (root / "labels/a.txt").write_text("0 0.5 0.5 0.1 0.1\n", encoding="utf-8")
        (root / "data.yaml").write_text(json.dumps({"names": [label]}), encoding="utf-8")
        with pytest.raises(BadAnnotation, match=message):
            export_voc(root, tmp_path / "out", progress=False)
        assert not (tmp_path / "out").exists()
    with pytest.raises(BadData, match="Expected one of"):
        export_voc(tmp_path / "nothing", tmp_path / "out", progress=False)


def test_the_face_mask_set_comes_back_bit_equal(tmp_path: Path) -> None:
    source = needs.shared_data() / "facemask"
    done = export_voc(source, tmp_path / "out", progress=False)
    found, wanted = open_set(tmp_path / "out"), open_set(source)
    assert [found.read(name).objects for name in found.names] == [wanted.read(name).objects for name in wanted.names]
    assert done.pictures == len(wanted.names) == 683
