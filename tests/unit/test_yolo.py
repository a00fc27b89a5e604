"""YOLO's text files: what is read, and how each mistake in them is named."""

from pathlib import Path

import numpy as np
import pytest

from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData
from vigie.layouts import open_set
from vigie.pictures import encode_jpeg
from vigie.yolo import YoloFolder


def written(root: Path, labels: dict[str, str], *, pictures: tuple[str, ...] = ("images/a.jpg",)) -> Path:
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode_jpeg(np.zeros((80, 200, 3), np.uint8)))
    for name, text in labels.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def everything(root: Path) -> list[tuple[str, str, tuple[LabelledBox, ...]]]:
    folder = open_set(root)
    annotations = [(name, folder.read(name)) for name in folder.names]
    return [(name, folder.picture_of(found).relative_to(root).as_posix(), found.objects) for name, found in annotations]


DOG = LabelledBox("dog", Box(80, 20, 120, 40))
LINE = "1 0.5 0.375 0.2 0.25\n"


def test_shares_become_pixels_and_a_picture_without_a_file_has_no_objects(tmp_path: Path) -> None:
    labels = {"labels/a.txt": LINE + "\n", "labels/b.txt": "", "classes.txt": "cat\ndog\n"}
    written(tmp_path, labels, pictures=("images/a.jpg", "images/b.jpg", "images/c.jpg"))
    assert everything(tmp_path) == [
        ("a.txt", "images/a.jpg", (DOG,)),
        ("b.txt", "images/b.jpg", ()),
        ("c.txt", "images/c.jpg", ()),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "nc: 2\nnames: [cat, dog]\n"),
        ("coco8.yml", "names:\n  1: dog\n  0: cat\n"),
        ("classes.txt", "cat\r\ndog\r\n"),
        ("labels/classes.txt", "\ufeffcat\ndog"),
    ],
)
def test_the_classes_are_named_in_yaml_or_text(tmp_path: Path, name: str, text: str) -> None:
    found = open_set(written(tmp_path, {"labels/a.txt": LINE, name: text}))
    assert isinstance(found, YoloFolder)
    assert found.classes == ("cat", "dog")
    assert everything(tmp_path) == [("a.txt", "images/a.jpg", (DOG,))]


@pytest.mark.parametrize("layout", ["images/train/a.jpg labels/train/a.txt", "train/images/a.jpg train/labels/a.txt"])
def test_a_set_in_parts_is_read_whole(tmp_path: Path, layout: str) -> None:
    picture, labels = layout.split()
    written(tmp_path, {labels: LINE, "data.yaml": "names: [cat, dog]"}, pictures=(picture,))
    assert everything(tmp_path) == [("train/a.txt", picture, (DOG,))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 .5 .5 .2", "expected `class x y width height`, found 4 values"),
        ("1 .1 .1 .2 .2 .3 .3", "found 7 values"),
        ("2 .5 .5 .2 .2", "the class is '2'; there are 2, counted from 0: cat, dog"),
        ("-1 .5 .5 .2 .2", "the class is '-1'"),
        ("9" * 5000 + " .5 .5 .2 .2", "the class is '9999"),
        ("dog .5 .5 .2 .2", "the class is 'dog'"),
        ("1 .5 .5 .2 wide", "are not four numbers"),
        ("1 100 40 .2 .2", "are no shares"),
        ("1 .5 .5 nan .2", "are no shares"),
        ("1 .5 .5 0 .2", "the box has no area"),
    ],
)
def test_what_is_wrong_with_a_line_is_named_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    written(tmp_path, {"labels/a.txt": LINE + line, "classes.txt": "cat\ndog"})
    with pytest.raises(BadAnnotation, match=message) as caught:
        everything(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'labels' / 'a.txt'}: line 2: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nc: 2", "expected the names of the classes from 0 on"),
        ("names: {1: cat, 2: dog}", "expected the names of the classes from 0 on"),
        ("names: [cat, 3]", "expected the names of the classes from 0 on"),
        ("names: [cat, cat]", "the class 'cat' stands there twice"),
        ("names: [cat", "is no YAML"),
        ("names: 2020-99-99", "is no YAML"),
        ("names: !!python/object/apply:os.getcwd []", "is no YAML"),
    ],
)
def test_what_is_wrong_with_the_classes_is_named(tmp_path: Path, text: str, message: str) -> None:
    written(tmp_path, {"labels/a.txt": LINE, "data.yaml": text})
    with pytest.raises(BadAnnotation, match=message) as caught:
        everything(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "data.yaml"))


def test_labels_without_names_of_classes_or_without_a_picture_are_refused(tmp_path: Path) -> None:
    written(tmp_path, {"labels/b.txt": LINE})
    with pytest.raises(
        BadData, match=r"need the names of the classes in one data\.yaml or classes\.txt; found images/"
    ):
        open_set(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog", encoding="utf-8")
    with pytest.raises(BadAnnotation, match=r"labels/b\.txt: there is no picture b in .*images; add it"):
        everything(tmp_path)
