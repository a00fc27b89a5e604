"""The short way gives what the long one gives, and refuses whatever that refuses."""

import io
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vigie.cartoons import LABELS, random_scene
from vigie.data.looking import Batch, Look, ShortWay
from vigie.data.looks import plain_jpeg_grey, plain_jpeg_size
from vigie.data.notes import Looked
from vigie.data.plain_voc import plain_labels
from vigie.data.source import LongWay, checked_set
from vigie.errors import BadAnnotation
from vigie.voc import read_annotation

PLAIN = """<annotation>
    <folder>images</folder>
    <filename>a.jpg</filename>
    <size><width>64</width><height>48</height><depth>3</depth></size>
    <object><name>cat</name><pose>Left</pose><difficult>0</difficult>
        <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>48</ymax></bndbox></object>
    <object><name> dog, "big"</name><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></object>
</annotation>
"""
SPOILS = ["", " ", "\n", "<", ">", "&", "&amp;", "<!--x-->", "]]>", "0", "-1", "1.5", "é", "\0", "\f", "<b/>",
          "</name>", "<name>x</name>", "<object/>", " a='b'", "<?x?>", "<!DOCTYPE a>", "999999999", "a/b"]  # fmt: skip


def told(path: Path) -> tuple[object, ...] | None:
    try:
        found = read_annotation(path)
    except BadAnnotation:
        return None
    boxes = [(it.label, it.box.left, it.box.top, it.box.right, it.box.bottom) for it in found.objects]
    return found.filename or "", found.size, boxes


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(PLAIN)), st.integers(0, 9), st.sampled_from(SPOILS)), max_size=3))
def test_a_label_file_that_is_read_the_short_way_says_the_same_the_long_way(
    tmp_path_factory: pytest.TempPathFactory, spoils: list[tuple[int, int, str]]
) -> None:
    text = PLAIN
    for at, length, put in spoils:
        text = text[:at] + put + text[at + length :]
    path = tmp_path_factory.getbasetemp() / "spoilt.xml"
    path.write_bytes(text.encode())
    plain = plain_labels(path.read_bytes())
    if plain is not None:
        boxes = [(label.decode(), *corners) for label, corners in zip(plain.labels, plain.corners, strict=True)]
        assert (plain.filename, plain.size, boxes) == told(path)


def test_the_usual_label_file_is_plain() -> None:
    found = plain_labels(PLAIN.encode())
    assert found is not None
    assert (found.filename, found.size) == ("a.jpg", (64, 48))
    assert found.labels == [b"cat", b'dog, "big"']
    assert found.corners == [(0, 1, 30, 48), (2, 2, 3, 3)]
    assert plain_labels(b'<?xml version="1.0"?>\n' + PLAIN.replace("\n", "\r\n\t").encode()) == found
    assert plain_labels(PLAIN.replace("<folder>images</folder>", "<folder>é</folder>").encode()) is None


def by_pillow(encoded: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
    except Exception:  # noqa: BLE001 - its decoders raise whatever they stumble on
        return False
    return True


def spoilt(encoded: bytes, dice: random.Random) -> list[bytes]:
    at, length = dice.randrange(20, len(encoded) - 40), dice.choice([1, 2, 8, 40])
    markers = [b"\xff\xd9", b"\xff\xd8", b"\xff\xda", bytes([255, dice.randrange(1, 255)])]
    puts = [b"\xff" * length, bytes(length), dice.randbytes(length), encoded[:160], *markers]
    return [
        encoded[:at],
        encoded[:-2],
        encoded[:at] + encoded[at + length :],
        *(encoded[:at] + put + encoded[at + len(put) :] for put in puts),
    ]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}])
def test_no_jpeg_that_pillow_refuses_passes_as_plain(options: dict[str, object]) -> None:
    dice = random.Random(1)
    refused = 0
    for seed in range(12):
        whole = io.BytesIO()
        Image.fromarray(random_scene(seed, 160, 120, 2)[0]).save(whole, "JPEG", **options)
        assert plain_jpeg_size(whole.getvalue()) == (160, 120)
        for encoded in spoilt(whole.getvalue(), dice):
            plain = plain_jpeg_size(encoded) is not None and plain_jpeg_grey(encoded) is not None
            assert by_pillow(encoded) or not plain
            refused += not plain
    assert refused > 60


def test_what_may_be_turned_or_more_than_one_picture_is_not_plain() -> None:
    image = Image.fromarray(random_scene(1, 64, 48, 1)[0])
    exif = Image.Exif()
    exif[0x0112] = 1

    def saved(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        return stream.getvalue()

    assert plain_jpeg_size(saved(image)) == plain_jpeg_size(saved(image.convert("L"))) == (64, 48)
    others = [
        saved(image, exif=exif), saved(image.convert("CMYK")), saved(image, "PNG"), saved(image, "WEBP"), b"",
        saved(image, "MPO", save_all=True, append_images=[image]), b"\xff\xd8\xff\xd9", saved(image)[:30],
    ]  # fmt: skip
    assert [plain_jpeg_size(other) for other in others] == [None] * len(others)


def looked(root: Path, spool: Path, *, shortly: bool) -> Looked:
    spool.mkdir(exist_ok=True)
    way = ShortWay(f"{root}/annotations/", f"{root}/images/", beside=False) if shortly else None
    names = sorted(path.name for path in (root / "annotations").iterdir())
    likely = [f"{Path(name).stem}.jpg" for name in names]
    return Look(root, LABELS, spool, way)(Batch(1, names, likely))


@pytest.fixture
def whole_numbers(small_set: Path) -> Path:
    """A set whose boxes have whole corners."""
    for path in (small_set / "annotations").iterdir():
        path.write_text(re.sub(r"(?<=\d)\.\d+(?=</)", "", path.read_text()))
    return small_set


def test_both_ways_write_the_same_records_rows_and_looks(whole_numbers: Path, tmp_path: Path) -> None:
    found = [looked(whole_numbers, tmp_path / name, shortly=name == "short") for name in ("short", "long")]
    short, long = ({**one._asdict(), "spool": ""} for one in found)
    for name, values in short.items():
        assert np.array_equal(values, long[name]), name  # type: ignore[arg-type]
    files = [(tmp_path / name / one.spool).read_bytes() for name, one in zip(("short", "long"), found, strict=True)]
    assert files[0] == files[1]
    assert (tmp_path / "short" / "looks.u8").read_bytes() == (tmp_path / "long" / "looks.u8").read_bytes()


def test_plain_pictures_never_take_the_long_way(
    whole_numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(LongWay, "look", fail)
    assert len(looked(whole_numbers, tmp_path / "spool", shortly=True).pictures) == 12


@pytest.mark.parametrize(
    ("filename", "key"),
    [("cartoon_00003.jpg", "cartoon_00003.jpg"), ("cartoon_00003.png", "cartoon_00003.jpg"), ("b.jpg", "b.jpg")],
)
def test_the_picture_is_that_of_the_filename_else_that_of_the_stem(
    small_set: Path, tmp_path: Path, filename: str, key: str
) -> None:
    shutil.copy(small_set / "images" / "cartoon_00005.jpg", small_set / "images" / "b.jpg")
    label = small_set / "annotations" / "cartoon_00003.xml"
    label.write_text(label.read_text().replace("cartoon_00003.jpg", filename))
    checked = checked_set(small_set, LABELS, tmp_path, progress=False)
    assert checked.pictures[3] == key


def test_what_is_only_worth_a_warning_is_left_to_pillow_which_takes_it(small_set: Path, tmp_path: Path) -> None:
    picture = small_set / "images" / "cartoon_00003.jpg"
    encoded = picture.read_bytes()
    middle = len(encoded) // 2
    picture.write_bytes(encoded[:middle] + b"\xff\xd9" + encoded[middle + 2 :])  # the mark of the end
    assert plain_jpeg_grey(picture.read_bytes()) is None
    assert by_pillow(picture.read_bytes())
    assert len(checked_set(small_set, LABELS, tmp_path, progress=False)) == 12


def test_a_picture_with_another_label_or_outside_box_is_judged_the_long_way(small_set: Path, tmp_path: Path) -> None:
    label = small_set / "annotations" / "cartoon_00003.xml"
    text = label.read_text()
    label.write_text(text.replace("<xmax>", "<xmax>9", 1))
    cuts = checked_set(small_set, LABELS, tmp_path, progress=False).cuts
    assert [(row, cut[:2]) for row, found in cuts.items() for cut in found] == [(3, ("cartoon_00003.xml", 1))]
    label.write_text(re.sub("<name>.*</name>", "<name>hat</name>", text))
    with pytest.raises(BadAnnotation, match=r"cartoon_00003\.xml: object 1: the label"):
        checked_set(small_set, LABELS, tmp_path, progress=False)
