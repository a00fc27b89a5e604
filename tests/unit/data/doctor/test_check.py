"""The doctor finds every fault, names it, and says nothing of what is good."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vigie.cli import app
from vigie.data.doctor.check import check
from vigie.data.doctor.findings import Finding, Report
from vigie.errors import BadData

IN_A_LABEL_FILE = (
    "annotation-unreadable", "annotation-empty", "annotation-corrupt", "annotation-too-large", "annotation-entities",
    "annotation-not-voc", "object-incomplete", "size-missing", "size-unreadable", "path-traversal", "picture-missing",
    "picture-ambiguous", "picture-shared", "size-differs", "size-before-turning", "box-inverted", "box-no-area",
    "box-all-outside", "box-outside", "box-outside-by-one", "box-covers-all", "box-duplicate", "box-two-classes",
    "picture-without-objects", "objects-too-many", "label-look-alike", "label-space", "label-unknown",
)  # fmt: skip
IN_A_PICTURE = (
    "picture-unreadable", "picture-empty", "picture-corrupt", "picture-truncated", "picture-too-large",
    "picture-unannotated",
)  # fmt: skip


@pytest.fixture(scope="module")
def broken_report(broken_set: Path) -> Report:
    return check(broken_set, classes=("mask", "bare", "scarf"), progress=False)


def codes_of(report: Report, file: str) -> set[str]:
    return {found.code for found in report.findings if found.file == file}


@pytest.mark.parametrize("code", IN_A_LABEL_FILE)
def test_a_fault_is_found_in_its_label_file_and_no_other_beside_it(code: str, broken_report: Report) -> None:
    assert codes_of(broken_report, f"annotations/{code}.xml") - {"box-tiny"} == {code}


@pytest.mark.parametrize("code", IN_A_PICTURE)
def test_a_fault_is_found_in_its_picture_and_no_other_beside_it(code: str, broken_report: Report) -> None:
    assert codes_of(broken_report, f"images/{code}.jpg") == {code}


@pytest.mark.parametrize("name", ["annotation-entities-external", "annotation-entities-hidden"])
def test_no_entity_is_expanded_however_it_is_hidden(name: str, broken_report: Report) -> None:
    assert codes_of(broken_report, f"annotations/{name}.xml") == {"annotation-entities"}


def test_a_picture_of_any_size_is_refused_by_its_header(broken_report: Report) -> None:
    assert codes_of(broken_report, "images/picture-too-large-beyond.jpg") == {
        "picture-too-large",
        "picture-unannotated",
    }


def test_a_class_without_boxes_and_one_with_few_are_named(broken_report: Report) -> None:
    found = {(found.code, found.found) for found in broken_report.findings if found.file == "."}
    assert ("class-absent", "no box of the class 'scarf'") in found
    assert ("class-rare", "1 boxes of the class 'bare', under 20") in found


def test_good_files_have_no_finding(broken_report: Report) -> None:
    named = {found.file for found in broken_report.findings}
    assert not [name for name in named if Path(name).stem.startswith("good")]


def test_a_finding_says_where_what_and_what_to_do(broken_report: Report) -> None:
    [found] = [found for found in broken_report.findings if found.code == "box-outside-by-one"]
    assert found == Finding(
        code="box-outside-by-one",
        severity="warning",
        file="annotations/box-outside-by-one.xml",
        object=1,
        found="(21, 21) to (161, 80) in a picture of 160x120 reaches 1 px outside",
        effect="the part outside is cut off; tools that do not cut train on a wrong target",
        repair="clip the box to the picture: VOC counts pixels from 1 to width",
    )


def test_the_worst_comes_first(broken_report: Report) -> None:
    severities = [found.severity for found in broken_report.findings]
    assert severities == sorted(severities)
    assert broken_report.errors == severities.count("error") > 0


def test_a_clean_set_has_no_error_and_exits_with_0(clean_set: Path) -> None:
    report = check(clean_set, progress=False)
    assert report.errors == 0
    assert (report.pictures, report.annotations) == (60, 60)
    assert CliRunner().invoke(app, ["data", "check", str(clean_set)]).exit_code == 0


def test_the_command_exits_with_1_and_prints_one_finding_a_line(broken_set: Path, broken_report: Report) -> None:
    result = CliRunner().invoke(app, ["data", "check", str(broken_set), "--json"])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert set(lines[0]) == {"code", "severity", "file", "object", "found", "effect", "repair", "other"}
    assert {line["code"] for line in lines} >= {*IN_A_PICTURE, *IN_A_LABEL_FILE} - {"label-unknown"}


def test_the_table_counts_and_shows_a_few_places_a_code(broken_set: Path) -> None:
    shown = CliRunner().invoke(app, ["data", "check", str(broken_set)]).stdout
    assert "error    annotation-entities  3\n" in shown
    assert "  annotations/box-inverted.xml object 1: (80, 21) to (21, 80) is inverted\n" in shown


def test_a_folder_without_a_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"found nothing\. Expected one of: Pascal VOC"):
        check(tmp_path, progress=False)
    with pytest.raises(BadData, match="there is no such folder"):
        check(tmp_path / "absent", progress=False)
