from pathlib import Path

import pytest

from vigie.data.atomic import scratch_folder, whole_folder
from vigie.errors import BadData, Unavailable


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


def test_what_ended_runs_left_is_removed_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    for name in ("unfinished-1", "unfinished-abc", "replaced-2"):
        (tmp_path / f".out.{name}").mkdir()
    with whole_folder(tmp_path / "out", marker="done", key="living") as living:
        fill(tmp_path / "out")
        assert {path.name for path in tmp_path.iterdir()} == {"out", living.name}
        (living / "done").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["done"]


def interrupted(out: Path, key: str, text: str) -> None:
    def fail() -> None:
        with whole_folder(out, marker="done", key=key) as folder:
            (folder / "file").write_text(text)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()


def test_work_of_the_same_key_is_taken_up_again_and_that_of_another_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    interrupted(out, "first", "half")
    assert not out.exists()
    with whole_folder(out, marker="done", key="first") as folder:
        assert (folder / "file").read_text() == "half"
        (folder / "done").touch()
    assert {path.name for path in out.iterdir()} == {"file", "done"}
    interrupted(out, "second", "half")
    with whole_folder(out, marker="done", key="third") as folder:
        assert not list(folder.iterdir())
        assert {path.name for path in tmp_path.iterdir()} == {"out", folder.name}
        (folder / "done").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_at_once_do_not_share_an_unfinished_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_folder(out, marker="done", key="same") as folder:
        with (
            pytest.raises(Unavailable, match="another process is writing it; wait until it is done"),
            whole_folder(out, marker="done", key="same"),
        ):
            raise AssertionError
        (folder / "done").touch()
    assert (out / "done").exists()


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


def test_a_scratch_folder_is_gone_afterwards_and_what_a_killed_run_left_with_it(tmp_path: Path) -> None:
    left = tmp_path / ".out.scratch-killed"
    left.mkdir()
    (left / "spool").touch()
    with scratch_folder(tmp_path / "out") as one, scratch_folder(tmp_path / "out") as other:
        assert one != other
        assert {path.name for path in tmp_path.iterdir()} == {one.name, other.name}
    with pytest.raises(ValueError, match="bad"), scratch_folder(tmp_path / "out"):
        raise ValueError("bad")
    assert list(tmp_path.iterdir()) == []
