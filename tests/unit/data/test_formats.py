"""Whatever a set's label files and pictures are, its records hold the same pictures and boxes."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import needs
import numpy as np
import other_formats
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vigie import voc
from vigie.cartoons import LABELS
from vigie.data.parts import Sample
from vigie.data.prepare import PARTS, Manifest, prepare, read_part, read_set, source_hash
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation
from vigie.pictures import encode_jpeg

RED = (220, 30, 30)
GREEN = (40, 160, 60)
FACE = Box(30, 12, 54, 40)


def prepared(root: Path, out: Path) -> tuple[Manifest, dict[str, Sample]]:
    manifest = prepare(root, out, classes=LABELS, progress=False)
    return manifest, {sample.filename: sample for part in PARTS for sample in read_part(out, part)}


def told(samples: Iterator[Sample]) -> list[tuple[int, str, bytes, tuple[LabelledBox, ...]]]:
    return [(sample.source_id, sample.filename, sample.picture.jpeg(), sample.objects) for sample in samples]


@pytest.mark.parametrize("write", [other_formats.as_coco, other_formats.as_yolo])
def test_coco_and_yolo_give_the_records_that_voc_gives(cartoon_set: Path, tmp_path: Path, write) -> None:
    other = write(cartoon_set, tmp_path / "other", LABELS)
    wanted, _ = prepared(cartoon_set, tmp_path / "of_voc")
    found, _ = prepared(other, tmp_path / "of_other")
    assert found.parts == wanted.parts
    assert found.source_hash == source_hash(other) != wanted.source_hash
    assert (found.clipped, found.unannotated) == ((), 0)
    for part in PARTS:
        pairs = zip(read_part(tmp_path / "of_other", part), read_part(tmp_path / "of_voc", part), strict=True)
        for mine, theirs in pairs:
            assert (mine.source_id, mine.filename) == (theirs.source_id, theirs.filename)
            assert mine.picture.jpeg() == theirs.picture.jpeg()
            assert [found.label for found in mine.objects] == [found.label for found in theirs.objects]
            # The cartoons' boxes have fractions of a pixel, and YOLO files six digits.
            np.testing.assert_allclose(corners(mine), corners(theirs), atol=0.011)


def corners(sample: Sample) -> np.ndarray:
    boxes = [found.box for found in sample.objects]
    return np.array([(box.left, box.top, box.right, box.bottom) for box in boxes])


SIDES = st.tuples(st.integers(64, 700), st.integers(64, 700))


@st.composite
def annotated(draw: st.DrawFn) -> tuple[int, int, tuple[LabelledBox, ...]]:
    width, height = draw(SIDES)
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
        boxes.append(LabelledBox(draw(st.sampled_from(LABELS)), Box(left, top, right, bottom)))
    return width, height, tuple(boxes)


@settings(max_examples=25, deadline=None)
@given(annotated())
def test_any_boxes_are_the_same_from_each_format(drawn: tuple[int, int, tuple[LabelledBox, ...]]) -> None:
    width, height, objects = drawn
    with TemporaryDirectory() as folder:
        root = Path(folder) / "voc"
        for below in ("images", "annotations"):
            (root / below).mkdir(parents=True)
        (root / "images" / "a.jpg").write_bytes(encode_jpeg(np.zeros((height, width, 3), np.uint8)))
        voc.write_annotation(root / "annotations" / "a.xml", "a.jpg", width, height, objects)
        for name, write in (("coco", other_formats.as_coco), ("yolo", other_formats.as_yolo)):
            other = write(root, Path(folder) / name, LABELS)
            assert told(read_set(other)) == told(read_set(root))
        assert [sample.objects for sample in read_set(root)] == [objects]


@pytest.mark.parametrize(("pictures", "labels"), [("JPEGImages", "Annotations"), ("images", "Annotations"), ("", "")])
def test_the_layout_of_a_voc_set_changes_nothing_in_its_records(
    cartoon_set: Path, tmp_path: Path, pictures: str, labels: str
) -> None:
    root = tmp_path / "set"
    shutil.copytree(cartoon_set / "images", root / pictures, dirs_exist_ok=True)
    shutil.copytree(cartoon_set / "annotations", root / labels, dirs_exist_ok=True)
    wanted, _ = prepared(cartoon_set, tmp_path / "wanted")
    found, _ = prepared(root, tmp_path / "found")
    assert (found.parts, found.files) == (wanted.parts, wanted.files)


def painted(mode: str) -> Image.Image:
    """A green picture with a red rectangle where FACE is."""
    image = Image.new("RGB", (96, 64), GREEN)
    image.paste(RED, (int(FACE.left), int(FACE.top), int(FACE.right), int(FACE.bottom)))
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.quantize(16) if mode == "P" else image.convert(mode)


def add(root: Path, name: str, image: Image.Image, size: tuple[int, int], box: Box, orientation: int = 1) -> bytes:
    path = root / "images" / name
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} if orientation != 1 else {}
    image.save(path, **options, **({"quality": 95} if path.suffix in (".jpg", ".webp") else {}))
    voc.write_annotation(root / "annotations" / f"{path.stem}.xml", name, *size, [LabelledBox(LABELS[0], box)])
    return path.read_bytes()


def marked(sample: Sample) -> Box:
    """Where the rectangle is seen on the pixels of a record."""
    rgb = sample.picture.rgb().astype(int)
    on = rgb[..., 0] > rgb[..., 1] if np.ptp(rgb, axis=2).max() > 20 else rgb[..., 0] < 95  # red is darker in grey
    rows, columns = np.nonzero(on)
    return around(rows, columns)


def around(rows: np.ndarray, columns: np.ndarray) -> Box:
    return Box(float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))


FORMATS = [
    ("cmyk.jpg", "CMYK"), ("grey.jpg", "L"), ("alpha.png", "RGBA"), ("palette.png", "P"), ("deep.png", "I;16"),
    ("bitmap.bmp", "RGB"), ("web.webp", "RGB"), ("still.gif", "P"), ("plain.jpg", "RGB"),
]  # fmt: skip


def test_each_format_of_picture_agrees_with_its_box_in_the_record(small_set: Path, tmp_path: Path) -> None:
    stored = {name: add(small_set, name, painted(mode), (96, 64), FACE) for name, mode in FORMATS}
    _, samples = prepared(small_set, tmp_path / "records")
    for name, _ in FORMATS:
        sample = samples[name]
        assert (sample.picture.format, sample.picture.cmyk) == ("jpeg", False), name
        assert sample.objects == (LabelledBox(LABELS[0], FACE),), name
        assert marked(sample).iou(FACE) > 0.85, name
    kept = {name for name, content in stored.items() if samples[name].picture.jpeg() == content}
    assert kept == {"plain.jpg", "grey.jpg"}


def test_a_cmyk_picture_keeps_its_colours(small_set: Path, tmp_path: Path) -> None:
    add(small_set, "cmyk.jpg", painted("CMYK"), (96, 64), FACE)
    _, samples = prepared(small_set, tmp_path / "records")
    rgb = samples["cmyk.jpg"].picture.rgb()
    np.testing.assert_allclose(rgb[26, 42], RED, atol=8)
    np.testing.assert_allclose(rgb[5, 5], GREEN, atol=8)


def test_of_a_moving_gif_the_first_picture_is_taken(small_set: Path, tmp_path: Path) -> None:
    later = Image.new("RGB", (96, 64), (0, 0, 255)).quantize(4)
    path = small_set / "images" / "moving.gif"
    painted("P").save(path, save_all=True, append_images=[later])
    box = LabelledBox(LABELS[0], FACE)
    voc.write_annotation(small_set / "annotations" / "moving.xml", "moving.gif", 96, 64, [box])
    _, samples = prepared(small_set, tmp_path / "records")
    assert marked(samples["moving.gif"]).iou(FACE) > 0.85


TURNS = {
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_boxes_agree_with_a_turned_picture_whether_drawn_before_or_after_turning(
    small_set: Path, tmp_path: Path, orientation: int, ending: str
) -> None:
    lying = painted("RGB").transpose(TURNS[orientation])
    before = around(*np.nonzero(np.asarray(lying)[..., 0] > 150))
    add(small_set, f"after.{ending}", lying, (96, 64), FACE, orientation)
    add(small_set, f"before.{ending}", lying, (64, 96), before, orientation)
    _, samples = prepared(small_set, tmp_path / "records")
    for name in (f"after.{ending}", f"before.{ending}"):
        sample = samples[name]
        assert (sample.picture.width, sample.picture.height, sample.picture.turned) == (96, 64, False)
        assert sample.objects == (LabelledBox(LABELS[0], FACE),)
        assert marked(sample).iou(FACE) > 0.85


def test_a_turned_picture_of_a_third_size_is_refused(small_set: Path, tmp_path: Path) -> None:
    add(small_set, "odd.jpg", painted("RGB"), (64, 95), Box(0, 0, 9, 9), 6)
    with pytest.raises(BadAnnotation, match=r"64x95, .* has 64x96 pixels once its EXIF orientation is applied"):
        prepared(small_set, tmp_path / "records")


def test_the_real_coco_pictures_are_read() -> None:
    samples = list(read_set(needs.shared_data() / "coco_val200"))
    assert len(samples) == 200
    assert sum(len(sample.objects) for sample in samples) == 907
    for sample in samples:
        for labelled in sample.objects:
            box = labelled.box
            assert box.left >= 0
            assert box.top >= 0
            assert box.right <= sample.picture.width
            assert box.bottom <= sample.picture.height
