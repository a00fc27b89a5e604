"""The lists that a machine is set up from agree, with each other and with what is installed here."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import cv2
import pytest
import yaml

THE_USERS_CHOICE = {
    "tensorflow", "tf-models-official", "jupyterlab", "papermill", "pandas", "lxml", "tensorboard",
    "opencv-python-headless", "kafka-python",
}  # fmt: skip


def normal(requirement: str) -> str:
    """The name alone, as PEP 503 writes it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


@pytest.fixture(scope="module")
def root(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text().splitlines()
    return {normal(line): line.split("==")[1] for line in lines if line and not line.startswith("#")}


@pytest.fixture(scope="module")
def conda(root: Path) -> list[str]:
    listed = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    pip: list[str] = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    assert "python=3.11" in listed
    assert pip[:2] == ["-c constraints.txt", "-e .[stream,train]"]
    return pip[2:]


def test_conda_and_pip_install_the_same_list(root: Path, conda: list[str]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {normal(line) for line in conda} == {
        normal(line) for line in [*project["dependencies"], *extras["stream"], *extras["train"]]
    }
    assert {normal(line) for line in conda} >= THE_USERS_CHOICE


def test_conda_and_pip_install_the_same_versions(conda: list[str], pins: dict[str, str]) -> None:
    assert {normal(line): line.split("==")[1] for line in conda} == {normal(line): pins[normal(line)] for line in conda}


def test_every_package_that_is_needed_is_pinned(root: Path, pins: dict[str, str]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    assert {normal(line) for group in groups for line in group} <= pins.keys()


def test_a_single_opencv_below_5_owns_cv2() -> None:
    owners = [found.name for found in distributions() if found.name and normal(found.name).startswith("opencv-")]
    assert owners == ["opencv-python-headless"]
    assert int(cv2.__version__.split(".")[0]) < 5
