"""The doctor says the same of a Pascal VOC set in whichever layout it lies."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from vigie.data.doctor.check import check


@pytest.mark.parametrize(
    ("pictures", "labels"),
    [("images", "annotations"), ("JPEGImages", "Annotations"), ("images", "Annotations"), (".", "."), ("p1", "p1")],
)
def test_a_layout_changes_nothing_but_the_names_of_the_files(
    pictures: str, labels: str, maker: Any, tmp_path: Path
) -> None:
    maker.add("good", ("mask", 21, 21, 80, 80))
    maker.add("out", ("mask", 120, 21, 180, 80))
    maker.add("lost", ("mask", 21, 21, 80, 80))
    (maker.root / "images" / "lost.jpg").unlink()
    maker.picture("alone")
    root = tmp_path / "laid out"
    shutil.copytree(maker.root / "images", root / pictures, dirs_exist_ok=True)
    shutil.copytree(maker.root / "annotations", root / labels, dirs_exist_ok=True)
    found = [(it.code, it.file, it.object) for it in check(root, progress=False).findings]
    at = {"images": Path(pictures), "annotations": Path(labels)}
    assert found == [
        ("picture-missing", (at["annotations"] / "lost.xml").as_posix(), None),
        ("picture-unannotated", (at["images"] / "alone.jpg").as_posix(), None),
        ("box-outside", (at["annotations"] / "out.xml").as_posix(), 1),
        ("class-rare", ".", None),
    ]


def test_label_files_without_a_folder_of_pictures_are_each_found(maker: Any) -> None:
    maker.labels("a", "<annotation/>")
    shutil.rmtree(maker.root / "images")
    codes = {it.code for it in check(maker.root, progress=False).findings}
    assert codes == {"picture-missing", "size-missing"}


def test_pictures_without_a_label_file_are_a_set_that_cannot_be_used(maker: Any) -> None:
    maker.picture("a")
    report = check(maker.root, progress=False)
    assert [(it.code, it.file) for it in report.findings] == [
        ("set-unreadable", "."),
        ("picture-unannotated", "images/a.jpg"),
    ]
