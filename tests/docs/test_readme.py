"""What the documents name exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from vigie.cli import app

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/facemask.md",
    "docs/from-tfod.md",
    "docs/models.md",
    "docs/training.md",
]


@pytest.fixture(scope="module", params=DOCUMENTS)
def document(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / str(request.param)


def code_of(document: Path) -> str:
    """What stands in fences and between backticks."""
    found = re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", document.read_text(), re.DOTALL)
    return "\n".join(fenced or inline for fenced, inline in found)


def targets(root: Path) -> set[str]:
    listing = subprocess.run(["make"], cwd=root, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  make ([a-z-]+)", listing, re.MULTILINE))


def test_every_make_target_that_is_named_exists(document: Path, pytestconfig: pytest.Config) -> None:
    known = targets(pytestconfig.rootpath)
    named = {
        word
        for line in re.findall(r"^(?:[.\w/]*)make ((?:[a-z-]+ ?)+)", code_of(document), re.MULTILINE)
        for word in line.split()
    }
    assert named <= known


PROMISED = """
setup demo data train evaluate export tensorboard notebooks kafka stop-kafka deploy-stream stream-status stop-stream
test test-all lint bench clean
"""


def test_make_alone_lists_what_a_person_may_ask_for(pytestconfig: pytest.Config) -> None:
    assert targets(pytestconfig.rootpath) >= set(PROMISED.split())


def test_a_misspelt_option_of_make_is_named_with_those_that_there_are(pytestconfig: pytest.Config) -> None:
    root = pytestconfig.rootpath
    failed = subprocess.run(
        ["make", "-n", "data", "EXPERIMNT=x.yaml"], cwd=root, capture_output=True, text=True, check=False
    )
    assert failed.returncode != 0
    assert "there is no option EXPERIMNT; there are: EXPERIMENT VOC NAME" in failed.stderr
    several = ["EXPERIMENT=x.yaml", "VOC=my faces", "NAME=a", "STEPS=3", "ARGS=--port 7 --x=y", "VIGIE_WEB__PORT=8001"]
    assert subprocess.run(["make", "-n", "data", *several], cwd=root, capture_output=True, check=False).returncode == 0


def test_a_name_that_stands_in_every_environment_is_no_name_of_a_run(pytestconfig: pytest.Config) -> None:
    environment = {**os.environ, "NAME": "my-computer"}
    for words, named in (["make", "-n", "data"], False), (["make", "-n", "data", "NAME=my-computer"], True):
        done = subprocess.run(
            words, cwd=pytestconfig.rootpath, env=environment, capture_output=True, text=True, check=True
        )
        assert ("my-computer" in done.stdout) is named


def test_every_command_that_is_named_exists(document: Path) -> None:
    for line in re.findall(r"\bvigie ((?:[a-z-]+ ?)+)", code_of(document)):
        command = get_command(app)
        for word in line.split():
            known = getattr(command, "commands", {})
            if not known:
                break
            assert word in known, f"{document.name} names `vigie {line.strip()}`"
            command = known[word]


def test_every_file_that_is_linked_exists(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def commands(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", {})
    return [leaf for name, child in children.items() for leaf in commands(child, (*path, name))] if children else [path]


@pytest.mark.parametrize("path", commands(get_command(app)), ids=" ".join)
def test_the_help_of_every_command_shows_an_example(path: tuple[str, ...]) -> None:
    shown = subprocess.run([sys.executable, "-m", "vigie", *path, "--help"], capture_output=True, text=True, check=True)
    assert f"vigie {' '.join(path)}" in re.sub(r"\s+", " ", shown.stdout.split("Options")[0].split("Example")[-1])
