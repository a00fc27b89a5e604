from pathlib import Path

import pytest

from vigie.whole import write_whole


def test_what_could_not_be_written_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "facts.json"
    write_whole(path, "old é\n")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old é\n"
    write_whole(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert [found.name for found in path.parent.iterdir() if not found.name.startswith(".")] == ["facts.json"]
