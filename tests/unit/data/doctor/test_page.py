"""The page shows findings with their pictures, and trusts nothing that stands in a file."""

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from vigie.cli import app


def page_of(root: Path, out: Path) -> str:
    CliRunner().invoke(app, ["data", "check", str(root), "--html", str(out)], catch_exceptions=False)
    return out.read_text(encoding="utf-8")


def test_the_page_draws_the_named_box_on_its_picture(maker: Any, tmp_path: Path) -> None:
    maker.add("a", ("cat", -9, 21, 80, 80), ("cat", 100, 21, 150, 80))
    page = page_of(maker.root, tmp_path / "report.html")
    assert "annotations/a.xml object 1" in page
    assert '<rect class=named x="-10" y="20" width="90" height="60"/><rect x="99"' in page
    assert '<image href="data:image/jpeg;base64,' in page
    assert sorted(tmp_path.glob("report*")) == [tmp_path / "report.html"]


def test_the_page_of_a_broken_set_names_every_code(broken_set: Path, tmp_path: Path) -> None:
    page = page_of(broken_set, tmp_path / "report.html")
    for code in ("picture-truncated", "annotation-entities", "box-inverted", "class-rare", "path-traversal"):
        assert f"</span> {code}: " in page


def test_a_label_cannot_put_a_script_on_the_page(maker: Any, tmp_path: Path) -> None:
    maker.add("a", ("&lt;script&gt;alert(1)&lt;/script&gt;", 1, 1, 50, 50))
    page = page_of(maker.root, tmp_path / "report.html")
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_twins_are_drawn_beside_each_other(maker: Any, tmp_path: Path) -> None:
    maker.add("a", ("cat", 1, 1, 80, 60))
    maker.add("b", ("cat", 1, 1, 80, 60), encoded=(maker.root / "images" / "a.jpg").read_bytes())
    assert page_of(maker.root, tmp_path / "report.html").count("<image ") == 2
