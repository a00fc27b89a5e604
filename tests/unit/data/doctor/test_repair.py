"""The repaired copy has no error that can be mended, and the source is as it was."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vigie.cli import app
from vigie.data.doctor.check import check
from vigie.data.doctor.label_files import Corners, MarkedObject
from vigie.data.doctor.repair import mended
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
