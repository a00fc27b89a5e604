"""A bundle names the code that made it."""

import importlib.metadata
import re
import subprocess
from pathlib import Path

import pytest

from vigie import code_version as module
from vigie.code_version import code_version

VERSION = importlib.metadata.version("vigie")


def test_in_its_own_repository_the_commit_is_named() -> None:
    here = Path(__file__).parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, check=False, capture_output=True, text=True)
    if found.returncode:
        assert code_version() == VERSION
    else:
        version, commit = code_version().split("+")
        assert version == VERSION
        assert re.fullmatch(r"[0-9a-f]{12}", commit)
        assert found.stdout.startswith(commit)


def test_an_installed_copy_does_not_name_the_commit_of_whatever_repository_lies_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    installed = tmp_path / "site-packages" / "code_version.py"
    installed.parent.mkdir()
    installed.write_text("")
    monkeypatch.setattr(module, "__file__", str(installed))
    assert code_version() == VERSION
