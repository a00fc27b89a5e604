import os
from pathlib import Path

import pytest

from vigie.data.atomic import whole_folder
from vigie.errors import BadData


def fill(out: Path, text: str = "new") -> None:
    with whole_folder(out, marker="done") as folder:
        assert not (out / "file").exists() or (out / "file").read_text() == "old"
        (folder / "file").write_text(text)
        (folder / "done").touch()


def test_the_folder_appears_at_the_end_and_replaces_an_older_one(tmp_path: Path) -> None:
    fill(tmp_path / "deep" / "out", "old")
    fill(tmp_path / "deep" / "out")
    assert (tmp_path / "deep" / "out" / "file").read_text() == "new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_an_error_leaves_the_older_one_and_nothing_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(out, "old")

    def fail() -> None:
        with whole_folder(out, marker="done") as folder:
            (folder / "file").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (out / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_run_left_is_removed_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    dead = next(pid for pid in range(2_000_000, 4_000_000) if not Path(f"/proc/{pid}").exists())
    for pid in (dead, os.getppid()):
        (tmp_path / f".out.unfinished-{pid}").mkdir()
    fill(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", f".out.unfinished-{os.getppid()}"}


def test_an_empty_folder_may_be_filled_and_a_file_or_strange_folder_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty")
    (tmp_path / "file").touch()
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "mine").touch()
    with pytest.raises(BadData, match="is a file"):
        fill(tmp_path / "file")
    with pytest.raises(BadData, match=r"holds files of another kind \(no done\)"):
        fill(tmp_path / "strange")
    assert (tmp_path / "strange" / "mine").exists()
