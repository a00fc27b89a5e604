from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData
from vigie.voc import (
    Annotation,
    Cut,
    clipped,
    corners,
    open_folder,
    read_annotation,
    renamed_annotation,
    write_annotation,
)

OBJECT = "<object><name>{name}</name><bndbox>{box}</bndbox></object>"
BOX = "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax>"
SIZE = "<size><width>100</width><height>80</height><depth>3</depth></size>"


def written(folder: Path, body: str, name: str = "a.xml") -> Path:
    path = folder / name
    path.write_text(body, encoding="utf-8")
    return path


def annotation(body: str) -> str:
    return f"<annotation><filename>a.jpg</filename>{body}</annotation>"


def test_voc_counts_from_one_and_includes_the_last_pixel(tmp_path: Path) -> None:
    path = written(tmp_path, annotation(SIZE + OBJECT.format(name="cat", box=BOX)))
    assert read_annotation(path) == Annotation(path, "a.jpg", (100, 80), (LabelledBox("cat", Box(0, 1, 30, 40)),))


def test_spaces_and_floats_in_numbers_are_read(tmp_path: Path) -> None:
    box = "<xmin> 12.0\n</xmin><ymin>2.5</ymin><xmax>30</xmax><ymax>4e1</ymax>"
    path = written(tmp_path, annotation(OBJECT.format(name=" cat ", box=box)))
    assert read_annotation(path).objects == (LabelledBox("cat", Box(11, 1.5, 30, 40)),)


def test_a_file_without_size_name_and_objects_is_read_as_such(tmp_path: Path) -> None:
    path = written(tmp_path, "<annotation/>")
    assert read_annotation(path) == Annotation(path, None, None, ())


def test_parts_of_an_object_do_not_stand_for_it(tmp_path: Path) -> None:
    part = f"<part><name>head</name><bndbox>{BOX}</bndbox></part>"
    body = f"<object><name>person</name><bndbox>{BOX}</bndbox>{part}</object>"
    assert read_annotation(written(tmp_path, annotation(body))).objects == (LabelledBox("person", Box(0, 1, 30, 40)),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (annotation("<object><bndbox/></object>"), r"a\.xml: object 1: <name> is missing; fill it in"),
        (annotation(OBJECT.format(name=" ", box=BOX)), "object 1: <name> is empty"),
        (annotation("<object><name>cat</name></object>"), "object 1: <bndbox> is missing"),
        (
            annotation(OBJECT.format(name="cat", box=BOX) + OBJECT.format(name="dog", box=BOX.replace("30", "abc"))),
            "object 2: <xmax> is 'abc', not a number",
        ),
        (annotation(OBJECT.format(name="cat", box=BOX.replace("30", "nan"))), "object 1: <xmax> is 'nan', no place"),
        (annotation(OBJECT.format(name="cat", box=BOX.replace("30", "1e9"))), "object 1: <xmax> is '1e9', no place"),
        (annotation(OBJECT.format(name="cat", box=BOX.replace("<xmax>30</xmax>", ""))), "object 1: <xmax> is missing"),
        (annotation(OBJECT.format(name="cat", box=BOX + "<xmin>3</xmin>")), "object 1: <xmin> stands there 2 times"),
        (
            annotation(OBJECT.format(name="cat", box=BOX.replace(">1<", ">31<"))),
            "object 1: xmin 31 lies beyond xmax 30",
        ),
        (
            annotation(OBJECT.format(name="cat", box=BOX.replace(">2<", ">41<"))),
            "object 1: ymin 41 lies beyond ymax 40",
        ),
        (annotation(SIZE + SIZE), "<size> stands there 2 times"),
        (annotation(SIZE.replace("100", "0")), "<size> has width 0; give the picture's width"),
        (annotation(SIZE.replace("80", "80.5")), "<size> has height 80.5"),
        (annotation("<size><width>3</width></size>"), "<height> is missing"),
        (annotation("<filename>b.jpg</filename>"), "<filename> stands there 2 times"),
        (
            "<annotation><filename>../../etc/passwd</filename></annotation>",
            "<filename> is '../../etc/passwd'; give the bare",
        ),
        ("<annotation><filename>C:\\a.jpg</filename></annotation>", "give the bare name"),
        ("<annotation><filename>..</filename></annotation>", "give the bare name"),
        ("<html/>", "outermost tag is <html>"),
        ("<annotation>", "not well-formed XML"),
        ("", "not well-formed XML"),
    ],
)
def test_what_is_wrong_is_named_with_file_object_and_field(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(BadAnnotation, match=message) as caught:
        read_annotation(written(tmp_path, body))
    assert str(caught.value).startswith(str(tmp_path / "a.xml"))


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    bomb = f'<!DOCTYPE annotation [<!ENTITY e0 "ha">{entities}]><annotation><filename>&e9;</filename></annotation>'
    with pytest.raises(BadAnnotation, match="document type or entities"):
        read_annotation(written(tmp_path, bomb))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_external_entity_is_refused_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden", encoding="utf-8")
    body = (
        f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        "<annotation><filename>&x;</filename></annotation>"
    )
    path = tmp_path / "a.xml"
    path.write_bytes(body.encode(encoding))
    with pytest.raises(BadAnnotation, match="document type or entities"):
        read_annotation(path)


def test_a_file_that_is_no_label_file_by_its_size_or_is_absent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    with pytest.raises(BadAnnotation, match="cannot be read: No such file"):
        read_annotation(path)
    path.write_bytes(b" " * (9 << 20))
    with pytest.raises(BadAnnotation, match="bytes are no label file"):
        read_annotation(path)


def test_clipping_keeps_what_is_inside_and_reports_what_it_cut() -> None:
    inside, over, outside = Box(0, 0, 10, 10), Box(-2.5, 5, 101, 20), Box(100, 0, 110, 5)
    objects = [LabelledBox("a", inside), LabelledBox("b", over), LabelledBox("c", outside)]
    kept, cuts = clipped(objects, 100, 80)
    assert kept == (LabelledBox("a", inside), LabelledBox("b", Box(0, 5, 100, 20)))
    assert cuts == (Cut(2, "b", over, Box(0, 5, 100, 20)), Cut(3, "c", outside, None))


coordinates = st.one_of(st.integers(-50, 5000), st.decimals(-50, 5000, places=4)).map(float)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, right = sorted(draw(st.tuples(coordinates, coordinates).filter(lambda pair: pair[0] != pair[1])))
    top, bottom = sorted(draw(st.tuples(coordinates, coordinates).filter(lambda pair: pair[0] != pair[1])))
    return Box(left, top, right, bottom)


label_texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@given(st.lists(st.builds(LabelledBox, label_texts, boxes()), max_size=5))
def test_what_is_written_is_read_back_the_same(objects: list[LabelledBox]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "p.xml"
        write_annotation(path, "p.jpg", 640, 480, objects)
        assert read_annotation(path) == Annotation(path, "p.jpg", (640, 480), tuple(objects))


def test_corners_are_written_as_voc_has_them() -> None:
    assert corners(Box(0, 0.5, 30, 40.25)) == ("1", "1.5", "30", "40.25")


def data_set(root: Path, pictures: list[str], annotations: list[str]) -> Path:
    for folder, names in (("images", pictures), ("annotations", annotations)):
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).write_bytes(b"x")
    return root


def test_pictures_are_found_by_name_then_by_stem_with_any_ending(tmp_path: Path) -> None:
    folder = open_folder(data_set(tmp_path, ["a.jpg", "b.JPG", "c.jpg", "c.png", "x.webp"], ["b.xml", "a.XML"]))

    def found(xml: str, filename: str | None) -> str:
        return folder.picture_of(Annotation(Path(xml), filename, None, ())).name

    assert [path.name for path in folder.annotations] == ["a.XML", "b.xml"]
    assert found("a.xml", "x.webp") == "x.webp"
    assert found("a.xml", "a.png") == "a.jpg"
    assert found("b.xml", None) == "b.JPG"
    assert found("c.xml", "c.png") == "c.png"
    with pytest.raises(
        BadAnnotation, match=r"c\.xml: <filename> names no picture, .* several of its stem: c\.jpg, c\.png"
    ):
        found("c.xml", None)
    with pytest.raises(
        BadAnnotation, match=r"d\.xml: <filename> names the picture 'q\.jpg', and .* holds neither that"
    ):
        found("d.xml", "q.jpg")


def test_a_folder_without_label_files_says_what_was_expected_and_what_was_found(tmp_path: Path) -> None:
    expected = r"expected Pascal VOC \(annotations/\*\.xml or .*\)"
    with pytest.raises(BadData, match=f"{expected}; there is no such folder"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    with pytest.raises(BadData, match=f"{expected}; found annotations/, images/$"):
        open_folder(tmp_path)


def test_label_files_without_pictures_are_refused(tmp_path: Path) -> None:
    labels = tmp_path / "annotations"
    labels.mkdir()
    (labels / "a.xml").touch()
    with pytest.raises(BadData, match="no images/ or JPEGImages/ beside it; found annotations/"):
        open_folder(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "notes.txt").touch()
    with pytest.raises(BadData, match=r"images/ no picture; it holds notes\.txt"):
        open_folder(tmp_path)
    with pytest.raises(BadData, match=r"such as a\.xml, and no picture beside them"):
        open_folder(labels)


def test_two_folders_that_fit_are_refused(tmp_path: Path) -> None:
    data_set(tmp_path, ["a.jpg"], ["a.xml"])
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(BadData, match="holds JPEGImages/ and images/; keep one of them"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [("images", "annotations"), ("JPEGImages", "Annotations"), ("images", "Annotations"), ("IMAGES", "Annotations")],
)
def test_the_folders_of_each_layout_are_taken_as_they_are_spelt_on_disk(
    tmp_path: Path, pictures: str, labels: str
) -> None:
    data_set(tmp_path, ["a.jpg"], ["a.xml"])
    (tmp_path / "images").rename(tmp_path / pictures)
    (tmp_path / "annotations").rename(tmp_path / labels)
    folder = open_folder(tmp_path)
    assert folder.names == ("a.xml",)
    assert folder.files == (tmp_path / labels / "a.xml", tmp_path / pictures / "a.jpg")


@pytest.mark.parametrize("above", ["VOCdevkit/VOC2012", "VOC2007"])
def test_the_archives_of_the_challenges_are_taken_as_they_unpack(tmp_path: Path, above: str) -> None:
    inside = tmp_path / above
    inside.mkdir(parents=True)
    data_set(inside, ["a.jpg"], ["a.xml"])
    folder = open_folder(tmp_path)
    assert folder.root == inside
    assert folder.names == ("a.xml",)
    other = inside.with_name("VOC2010")
    other.mkdir()
    data_set(other, ["a.jpg"], ["a.xml"])
    with pytest.raises(BadData, match=r"holds several sets: .*; name one of them"):
        open_folder(tmp_path)


def test_label_files_beside_their_pictures_are_found_here_and_one_level_below(tmp_path: Path) -> None:
    for name in ("one.xml", "one.jpg", "door/two.xml", "door/two.png", "yard/two.xml", "yard/two.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("<annotation><filename>two.png</filename></annotation>", encoding="utf-8")
    folder = open_folder(tmp_path)
    assert folder.names == ("one.xml", "door/two.xml", "yard/two.xml")
    found = [folder.picture_of(folder.read(name)).relative_to(tmp_path).as_posix() for name in folder.names]
    assert found == ["one.jpg", "door/two.png", "yard/two.png"]


def test_a_file_can_be_renamed_and_keeps_all_else(tmp_path: Path) -> None:
    body = f"<annotation>\n  <folder>x</folder>{OBJECT.format(name='é', box=BOX)}</annotation>"
    path = written(tmp_path, body)
    renamed = written(tmp_path, renamed_annotation(path, "b & c.jpg").decode(), "b.xml")
    assert read_annotation(renamed) == Annotation(renamed, "b & c.jpg", None, read_annotation(path).objects)
    assert "<folder>x</folder>" in renamed.read_text(encoding="utf-8")
    assert renamed_annotation(renamed, "b & c.jpg") == renamed.read_bytes()
