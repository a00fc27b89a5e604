"""COCO's JSON: what is read, and how each mistake in it is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from vigie.annotations import Annotation
from vigie.coco import CocoFolder
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData
from vigie.layouts import open_set


def content() -> dict[str, list[dict[str, Any]]]:
    return {
        "images": [
            {"id": 7, "file_name": "b.jpg", "width": 100, "height": 80},
            {"id": 3, "file_name": "a.jpg", "width": 100, "height": 80},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 5, "bbox": [0, 10.5, 30, 20], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [1, 1, 90, 70], "iscrowd": 1},
            {"id": 3, "image_id": 7, "category_id": 2, "bbox": [4, 5, 6, 7]},
        ],
        "categories": [{"id": 5, "name": "dog"}, {"id": 2, "name": "cat"}],
    }


def written(root: Path, labels: object, *, pictures: tuple[str, ...] = ("images/a.jpg", "images/b.jpg")) -> Path:
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "instances.json").write_text(json.dumps(labels), encoding="utf-8")
    return root


def everything(root: Path) -> list[tuple[Annotation, Path]]:
    folder = open_set(root)
    annotations = [folder.read(name) for name in folder.names]
    return [(annotation, folder.picture_of(annotation)) for annotation in annotations]


def test_boxes_count_from_0_crowds_are_left_out_and_pictures_without_objects_stay(tmp_path: Path) -> None:
    found = everything(written(tmp_path, content()))
    path = tmp_path / "instances.json"
    dog, cat = LabelledBox("dog", Box(0, 10.5, 30, 30.5)), LabelledBox("cat", Box(4, 5, 10, 12))
    assert found == [
        (Annotation(path, "a.jpg", (100, 80), (), "picture a.jpg"), tmp_path / "images/a.jpg"),
        (Annotation(path, "b.jpg", (100, 80), (dog, cat), "picture b.jpg"), tmp_path / "images/b.jpg"),
    ]


def test_classes_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    found = open_set(written(tmp_path, content()))
    assert isinstance(found, CocoFolder)
    assert found.classes == ("cat", "dog")


@pytest.mark.parametrize(
    "pictures", [("a.jpg", "b.jpg"), ("val2017/a.jpg", "val2017/b.jpg"), ("images/v/a.jpg", "b.jpg")]
)
def test_pictures_lie_anywhere_in_the_folder(tmp_path: Path, pictures: tuple[str, ...]) -> None:
    found = everything(written(tmp_path, content(), pictures=pictures))
    assert [path for _, path in found] == [tmp_path / name for name in pictures]


def spoilt(where: str, number: int, **changes: object) -> dict[str, list[dict[str, Any]]]:
    labels = content()
    labels[where][number] |= changes
    return labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "has no list 'images' of objects"),
        ({"images": [], "annotations": [1], "categories": []}, "has no list 'annotations' of objects"),
        (spoilt("categories", 0, id="5"), "category 1 needs a whole id and a name"),
        (spoilt("categories", 0, name=" "), "category 1 needs a whole id and a name"),
        (spoilt("categories", 0, name="cat"), "the name 'cat' stands twice in 'categories'"),
        (spoilt("images", 1, id=7), "the id 7 stands twice in 'images'"),
        (spoilt("images", 1, file_name=3), "image 2 needs a whole id and a file_name"),
        (spoilt("images", 1, file_name="../../etc/passwd.jpg"), "image 2 has the file_name .* leads out of the folder"),
        (spoilt("images", 1, file_name="/etc/a.jpg"), "leads out of the folder"),
        (spoilt("images", 1, width=0), "picture a.jpg: has width 0 and height 80"),
        (
            spoilt("images", 1, file_name="c.jpg"),
            "picture c.jpg: the picture is nowhere in .* holds images/, instances",
        ),
        (spoilt("annotations", 0, image_id=4), r"annotation 1 \(id 1\) is of image 4, which is not in 'images'"),
        (spoilt("annotations", 0, image_id=[7]), r"annotation 1 \(id 1\) is of image \[7\]"),
        (spoilt("annotations", 2, category_id=4), "picture b.jpg: object 2: the category 4 is not .* ids 2, 5"),
        (spoilt("annotations", 0, bbox=[1, 2, 3]), r"object 1: 'bbox' is \[1, 2, 3\], expected \[left, top"),
        (spoilt("annotations", 0, bbox=[1, 2, float("nan"), 3]), "object 1: 'bbox' is"),
        (spoilt("annotations", 0, bbox=[1, 2, "3", 3]), "object 1: 'bbox' is"),
        (spoilt("annotations", 0, bbox=[1, 2, 10**400, 3]), "object 1: 'bbox' is"),
        (spoilt("annotations", 0, bbox=[1, 2, 0, 3]), "a box without an area"),
        (spoilt("annotations", 0, bbox=[1, 2, 5, -3]), "a box without an area"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, labels: object, message: str) -> None:
    with pytest.raises(BadAnnotation, match=message) as caught:
        everything(written(tmp_path, labels))
    assert str(caught.value).startswith(str(tmp_path / "instances.json"))


def test_a_picture_in_two_folders_and_two_label_files_are_refused(tmp_path: Path) -> None:
    written(tmp_path, content(), pictures=("a.jpg", "b.jpg", "old/b.jpg"))
    with pytest.raises(BadAnnotation, match=r"picture b\.jpg: the picture is in several folders"):
        everything(tmp_path)
    (tmp_path / "instances_val.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadData, match=r"several COCO label files: instances\.json, instances_val\.json; keep one"):
        open_set(tmp_path)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadAnnotation, match=r"instances\.json: is no JSON"):
        everything(tmp_path)
