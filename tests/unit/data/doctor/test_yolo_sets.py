"""A YOLO set is examined as any other; a line that cannot be used is found by its number and never stops the rest."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vigie.cli import app
from vigie.data.doctor.check import check
from vigie.data.doctor.findings import Finding, Report

GOOD = "0 0.5 0.5 0.25 0.25"


def write(maker: Any, lines: str | bytes, names: str = "names: [mask, bare]") -> Path:
    """Two pictures of 160 x 120: `a` with the lines, and `b` with a good one."""
    root = Path(maker.root)
    (root / "annotations").rmdir()
    (root / "labels").mkdir()
    (root / "data.yaml").write_text(names, encoding="utf-8")
    for name, content in (("a", lines), ("b", GOOD)):
        maker.picture(name)
        (root / "labels" / f"{name}.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def report_of(maker: Any, lines: str | bytes, names: str = "names: [mask, bare]") -> Report:
    return check(write(maker, lines, names), progress=False)


def only(report: Report, code: str) -> Finding:
    [found] = [it for it in report.findings if it.code == code]
    return found


def test_a_good_set_has_no_error(maker: Any) -> None:
    report = report_of(maker, GOOD)
    assert (report.errors, report.pictures, report.annotations, report.objects) == (0, 2, 2, 2)


@pytest.mark.parametrize(
    ("line", "code", "found"),
    [
        ("0 0.5 0.5 0.2", "line-incomplete", "it has 4 values, 5 are wanted"),
        ("0 0.1 0.1 0.9 0.1 0.9 0.9", "line-incomplete", "it has 7 values, 5 are wanted"),
        ("0 a b c d", "line-incomplete", "'a b c d' are not four numbers"),
        ("2 0.5 0.5 0.2 0.2", "class-id-unknown", "its class is '2'; there are 2, counted from 0"),
        ("-1 0.5 0.5 0.2 0.2", "class-id-unknown", "its class is '-1'; there are 2, counted from 0"),
        (f"{'9' * 5000} 0.5 0.5 0.2 0.2", "class-id-unknown", None),
        ("0 80 60 20 20", "shares-outside", "80 60 20 20 are no shares of a picture's sides, from 0 to 1"),
        ("0 nan 0.5 0.2 0.2", "shares-outside", None),
        ("0 0.5 0.5 0 0.2", "box-no-area", "(80, 48) to (80, 72) is a line"),
        ("0 0.95 0.5 0.2 0.2", "box-outside", "(136, 48) to (168, 72) in a picture of 160x120 reaches 8 px outside"),
        ("0 0.5 0.5 1 1", "box-covers-all", "(0, 0) to (160, 120) in a picture of 160x120 covers it all"),
        (GOOD, "box-duplicate", "the same box and label 'mask' as line 1"),
    ],
)
def test_a_fault_of_a_line_is_found_by_its_number(line: str, code: str, found: str | None, maker: Any) -> None:
    it = only(report_of(maker, f"{GOOD}\n\n{line}\n"), code)
    assert (it.file, it.object) == ("labels/a.txt", 3)
    assert found is None or it.found == found


def test_rounding_over_the_edge_is_no_finding(maker: Any) -> None:
    found = {it.code for it in report_of(maker, "0 0.875001 0.5 0.25 0.25").findings}
    assert found == {"class-rare"}


@pytest.mark.parametrize(
    "names",
    [
        "",
        "names: [mask, mask]",
        "names: 3",
        "names: 2020-99-99",
        "[",
        "names: {0: mask, 2: bare}",
        "names: [[1], {2: 3}]",
    ],
)
def test_without_the_names_of_the_classes_the_boxes_are_still_examined(names: str, maker: Any) -> None:
    report = report_of(maker, "0 0.95 0.5 0.2 0.2", names)
    assert only(report, "classes-unreadable").file == "data.yaml"
    assert only(report, "box-outside").file == "labels/a.txt"
    assert report.errors == 1


def test_a_set_without_its_file_of_names_is_a_finding(maker: Any) -> None:
    root = write(maker, GOOD)
    (root / "data.yaml").unlink()
    it = only(check(root, progress=False), "set-unreadable")
    assert "YOLO labels need the names of the classes" in it.found


def test_pictures_and_label_files_without_each_other_are_found(maker: Any) -> None:
    root = write(maker, "")
    maker.picture("lonely")
    (root / "labels" / "gone.txt").write_text(GOOD)
    report = check(root, progress=False)
    assert only(report, "picture-missing").file == "labels/gone.txt"
    without = [it.file for it in report.findings if it.code == "picture-without-objects"]
    assert without == ["images/lonely.jpg", "labels/a.txt"]


def test_a_label_file_of_a_broken_picture_is_examined_as_far_as_it_goes(maker: Any) -> None:
    root = write(maker, "0 0.5 0.5 0.2 0.2\n5 0.5 0.5 0.2 0.2")
    (root / "images" / "a.jpg").write_bytes(b"no picture")
    codes = {it.code for it in check(root, progress=False).findings}
    assert codes == {"picture-corrupt", "class-id-unknown", "class-rare"}


def test_a_text_file_of_other_bytes_is_corrupt(maker: Any) -> None:
    assert only(report_of(maker, b"\xff\xfe0\x00"), "annotation-corrupt").file == "labels/a.txt"


def test_the_repaired_copy_holds_the_pictures_of_all_parts_under_names_of_their_own(tmp_path: Path, maker: Any) -> None:
    root = tmp_path / "parts"
    for part in ("train", "val"):
        for below in ("images", "labels"):
            (root / part / below).mkdir(parents=True)
        (root / part / "images" / "a.jpg").write_bytes(maker.picture(part).read_bytes())
        (root / part / "labels" / "a.txt").write_text(f"{GOOD}\n{GOOD}\n0 7 7 7 7\n")
    (root / "data.yaml").write_text("names: [mask]")
    CliRunner().invoke(app, ["data", "check", str(root), "--fix", str(tmp_path / "copy")])
    copied = sorted(path.name for path in (tmp_path / "copy" / "images").iterdir())
    assert copied == ["train_images_a.jpg", "val_images_a.jpg"]
    again = check(tmp_path / "copy", progress=False)
    assert (again.errors, again.annotations, again.objects) == (0, 2, 2)
