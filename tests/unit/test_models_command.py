"""`vigie models` on a folder with a bundle."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vigie.cli import app


@pytest.fixture
def models(tiny_bundle: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_bundle, tmp_path / "tiny" / "1")
    return tmp_path


def told(*words: str, exits: int = 0) -> str:
    result = CliRunner().invoke(app, ["models", *words])
    assert result.exit_code == exits, result.output
    return result.output


def test_a_bundle_is_listed_with_what_can_be_fetched(models: Path) -> None:
    heading, row, fetchable = told("list", "--models", str(models)).splitlines()
    assert heading.split()[:3] == ["model", "kind", "classes"]
    assert row.split()[:3] == [str(models / "tiny" / "1"), "bundle", "3"]
    assert "model_fp32.tflite" in row
    assert "yolov4-tiny" in fetchable
    (line,) = told("list", "--models", str(models), "--json").splitlines()
    assert json.loads(line)["default"] == "model_fp32.tflite"


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    assert "none yet: make export" in told("list", "--models", str(tmp_path))


def test_a_changed_byte_is_found_and_named(models: Path) -> None:
    assert "whole" in told("verify", "--models", str(models))
    file = models / "tiny" / "1" / "model_fp32.tflite"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    output = told("verify", "tiny", "--models", str(models), exits=1)
    assert "model_fp32.tflite: was changed after its export" in output
