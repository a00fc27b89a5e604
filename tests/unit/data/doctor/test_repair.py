"""The repaired copy has no error that can be mended, and the source is as it was."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vigie import voc
from vigie.cli import app
from vigie.data.doctor.check import check
from vigie.data.doctor.label_files import Corners, MarkedObject
from vigie.data.doctor.reading import read_set
from vigie.data.doctor.repair import mended, write_repaired
from vigie.domain import Box, LabelledBox


def bytes_of(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_copy_of_a_broken_set_has_no_error_and_the_source_is_untouched(broken_set: Path, tmp_path: Path) -> None:
    before = bytes_of(broken_set)
    result = CliRunner().invoke(app, ["data", "check", str(broken_set), "--fix", str(tmp_path / "copy")])
    assert result.exit_code == 1  # of the source
    assert bytes_of(broken_set) == before
    assert check(broken_set, progress=False).errors > 0
    again = check(tmp_path / "copy", progress=False)
    assert [found for found in again.findings if found.severity == "error"] == []
    assert again.annotations > 30


@pytest.mark.parametrize("inside", ["copy", "."])
def test_a_copy_into_the_set_itself_is_refused(maker: Any, inside: str) -> None:
    maker.add("a", ("cat", 1, 1, 50, 50))
    before = bytes_of(maker.root)
    result = CliRunner().invoke(app, ["data", "check", str(maker.root), "--fix", str(maker.root / inside)])
    assert "lie in one another" in str(result.exception)
    assert bytes_of(maker.root) == before


def test_boxes_are_turned_round_clipped_and_made_single() -> None:
    corners = [(80, 60, 21, 21), (21, 21, 80, 60), (-9, 21, 101, 60), (21, 21, 21, 60), (120, 21, 150, 60)]
    objects = [MarkedObject(number, "Cat ", Corners(*it)) for number, it in enumerate(corners, start=1)]
    assert mended(objects, (100, 75), {"Cat": "cat"}) == [
        LabelledBox("cat", Box(20, 20, 80, 60)),
        LabelledBox("cat", Box(0, 20, 100, 60)),
    ]


def test_a_picture_of_which_no_object_is_left_is_left_out(maker: Any, tmp_path: Path) -> None:
    maker.add("a", ("cat", 1, 1, 50, 50))
    maker.add("b", ("cat", 21, 21, 21, 80))
    maker.add("c", ("cat", "no", 21, 21, 80))
    done = write_repaired(read_set(maker.root, progress=False), maker.root, tmp_path / "copy", None)
    assert (done.pictures, done.left_out) == (1, ("annotations/b.xml", "annotations/c.xml"))


def test_boxes_drawn_before_the_picture_was_turned_are_turned_in_the_copy(maker: Any, tmp_path: Path) -> None:
    maker.add_lying("a", ("cat", 1, 1, 50, 30))  # stored 160 x 120, upright 120 x 160, by a quarter to the right
    report = check(maker.root, progress=False)
    assert {found.code for found in report.findings} == {"size-before-turning", "class-rare"}
    write_repaired(read_set(maker.root, progress=False), maker.root, tmp_path / "copy", None)
    copied = voc.read_annotation(tmp_path / "copy" / "annotations" / "a.xml")
    assert (copied.size, copied.objects) == ((120, 160), (LabelledBox("cat", Box(90, 0, 120, 50)),))
