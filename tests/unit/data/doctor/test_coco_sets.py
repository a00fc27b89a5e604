"""A COCO set is examined as any other; what is wrong in its JSON is found and never stops the rest."""

import json
from pathlib import Path
from typing import Any

import other_formats
import pytest
from typer.testing import CliRunner

from vigie.cli import app
from vigie.data.doctor.check import check
from vigie.data.doctor.findings import Finding, Report


def coco() -> dict[str, Any]:
    """Four pictures of 160 x 120, an object on each."""
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 160, "height": 120} for n in range(1, 5)],
        "categories": [{"id": 7, "name": "mask"}, {"id": 9, "name": "bare"}],
        "annotations": [
            {"id": 100 + n, "image_id": n, "category_id": 7, "bbox": [20, 20, 60, 60]} for n in range(1, 5)
        ],
    }


def write(maker: Any, content: dict[str, Any] | str) -> Path:
    for number in range(1, 5):
        maker.picture(str(number))
    text = content if isinstance(content, str) else json.dumps(content)
    (maker.root / "instances.json").write_text(text, encoding="utf-8")
    (maker.root / "annotations").rmdir()
    return Path(maker.root)


def report_of(maker: Any, content: dict[str, Any] | str) -> Report:
    return check(write(maker, content), progress=False)


def only(report: Report, code: str) -> Finding:
    [found] = [it for it in report.findings if it.code == code]
    return found


def test_a_good_set_has_no_error(maker: Any) -> None:
    report = report_of(maker, coco())
    assert (report.errors, report.pictures, report.annotations, report.objects) == (0, 4, 4, 4)


@pytest.mark.parametrize(
    ("change", "code", "number", "found"),
    [
        ({"image_id": 99}, "annotation-astray", 101,
         "it is of image 99, which is not in 'images' (place 1 in the list)"),
        ({"category_id": 8}, "class-id-unknown", 101, "its category 8 is not in 'categories' (ids 7, 9)"),
        ({"bbox": [1, 2, 3]}, "object-incomplete", 101,
         "its 'bbox' is [1, 2, 3], expected [left, top, width, height] in pixels"),
        ({"bbox": [1, 2, float("nan"), 4]}, "object-incomplete", 101, None),
        ({"bbox": [10**400, 2, 3, 4]}, "object-incomplete", 101, None),
        ({"bbox": [20, 20, -5, 9]}, "box-inverted", 101, "(20, 20) to (15, 29) is inverted"),
        ({"bbox": [20, 20, 0, 9]}, "box-no-area", 101, "(20, 20) to (20, 29) is a line"),
        ({"bbox": [120, 20, 60, 60]}, "box-outside", 101,
         "(120, 20) to (180, 80) in a picture of 160x120 reaches 20 px outside"),
        ({"id": 102}, "annotation-id-twice", 102, None),
    ],
)  # fmt: skip
def test_a_fault_of_an_annotation_is_found_by_its_id(
    change: dict[str, Any], code: str, number: int, found: str | None, maker: Any
) -> None:
    content = coco()
    content["annotations"][0] |= change
    it = only(report_of(maker, content), code)
    assert it.object == number
    assert it.file.startswith("instances.json")
    assert found is None or it.found == found


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"file_name": "../../1.jpg"}, "path-traversal"),
        ({"file_name": "gone.jpg"}, "picture-missing"),
        ({"file_name": "2.jpg"}, "entry-twice"),
        ({"file_name": None}, "entry-incomplete"),
        ({"id": "one"}, "entry-incomplete"),
        ({"id": 2}, "entry-twice"),
        ({"width": 320}, "size-differs"),
        ({"width": -1}, "size-unreadable"),
        ({"width": None, "height": None}, "size-missing"),
    ],
)
def test_a_fault_of_an_image_is_found(change: dict[str, Any], code: str, maker: Any) -> None:
    content = coco()
    content["images"][0] |= change
    assert only(report_of(maker, content), code).file.startswith("instances.json")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "annotation-empty"),
        ('{"images": [', "annotation-corrupt"),
        ("[" * 100_000, "annotation-corrupt"),
        ('{"images": [], "categories": {}}', "annotation-not-coco"),
        ("[]", "annotation-not-coco"),
    ],
)
def test_a_broken_file_is_one_finding_and_the_pictures_are_still_examined(text: str, code: str, maker: Any) -> None:
    report = report_of(maker, text)
    assert (only(report, code).file, report.pictures, report.errors) == ("instances.json", 4, 1)


def test_entries_that_are_no_objects_are_found(maker: Any) -> None:
    content = coco()
    for name in content:
        content[name].append("nothing")
    found = [it.found.split()[0] for it in report_of(maker, content).findings if it.code == "entry-incomplete"]
    assert sorted(found) == ["annotation", "category", "image"]


def test_a_set_that_was_voc_has_the_same_findings_of_boxes(clean_set: Path, tmp_path: Path) -> None:
    labels = sorted({it.text or "" for path in clean_set.rglob("*.xml") for it in _names(path)})

    def told(root: Path) -> list[tuple[str, str]]:
        codes = ("box-tiny", "anchors-miss", "class-rare", "box-outside", "boxes-tiny", "picture-near-duplicate")
        found = check(root, input_size=(160, 160), progress=False).findings
        return [(it.code, it.found) for it in found if it.code in codes]

    assert told(other_formats.as_coco(clean_set, tmp_path / "coco", labels)) == told(clean_set)


def _names(path: Path) -> Any:
    from lxml import etree

    return etree.parse(path).iterfind("object/name")


def test_the_repaired_copy_is_voc_without_errors_and_the_source_is_as_it_was(maker: Any, tmp_path: Path) -> None:
    content = coco()
    content["annotations"][0]["bbox"] = [20, 20, -5, 9]
    content["annotations"][1]["category_id"] = 8
    content["annotations"][2]["bbox"] = [120, 20, 60, 60]
    content["categories"][0]["name"] = "ma\u0001sk"
    root = write(maker, content)
    before = (root / "instances.json").read_bytes()
    CliRunner().invoke(app, ["data", "check", str(root), "--fix", str(tmp_path / "copy")])
    again = check(tmp_path / "copy", progress=False)
    assert (again.errors, again.annotations, again.objects) == (0, 3, 3)
    assert "<name>mask</name>" in (tmp_path / "copy" / "annotations" / "3.xml").read_text()
    assert (root / "instances.json").read_bytes() == before


def test_the_report_counts_in_annotations(maker: Any) -> None:
    content = coco()
    content["annotations"][0]["bbox"] = [20, 20, -5, 9]
    shown = CliRunner().invoke(app, ["data", "check", str(write(maker, content))]).stdout
    assert "instances.json: picture 1.jpg annotation 101: (20, 20) to (15, 29) is inverted" in shown


def test_annotations_of_an_image_that_was_refused_are_no_findings_of_their_own(maker: Any) -> None:
    content = coco()
    content["images"][0]["file_name"] = "/etc/passwd"
    report = report_of(maker, content)
    assert [it.code for it in report.findings if it.severity == "error"] == ["path-traversal"]


def test_half_a_character_in_a_name_can_be_told(maker: Any, tmp_path: Path) -> None:
    content = coco()
    content["images"][0]["file_name"] = "\ud800.jpg"
    root = write(maker, content)
    result = CliRunner().invoke(app, ["data", "check", str(root), "--html", str(tmp_path / "report.html")])
    assert result.exit_code == 1
    assert "instances.json: picture \\ud800.jpg: it names" in result.stdout
