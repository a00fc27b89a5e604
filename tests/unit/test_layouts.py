"""One function finds out what a folder of annotated pictures is."""

from pathlib import Path

import pytest

from vigie.errors import BadData
from vigie.layouts import open_set
from vigie.voc import VocFolder


def test_a_folder_of_none_of_the_kinds_names_all_that_are_known_and_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "settings.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadData) as caught:
        open_set(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: found holiday/, settings.json. Expected one of: "
        "Pascal VOC (annotations/*.xml or Annotations/*.xml with pictures in images/ or JPEGImages/, or *.xml beside "
        "their pictures); YOLO (images/ and labels/*.txt with data.yaml or classes.txt); "
        "COCO (a JSON such as instances.json, here or in annotations/, with the pictures in any folder). "
        "TFRecords become one by `vigie data unpack`"
    )
    with pytest.raises(BadData, match=r"nowhere: there is no such folder\. Expected one of"):
        open_set(tmp_path / "nowhere")


def test_a_stray_json_does_not_make_a_voc_set_another(tmp_path: Path) -> None:
    for name in ("images/a.jpg", "annotations/a.xml", "instances.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert isinstance(open_set(tmp_path), VocFolder)
