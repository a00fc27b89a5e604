"""Adapters are files: found by name, checked by their options, imported only when chosen."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from vigie import adapters
from vigie.errors import BadSetting, Unavailable


@dataclass(frozen=True)
class Options:
    path: Path
    fps: float | None = None
    loop: bool = False


def test_the_names_are_those_of_the_files() -> None:
    assert {"tflite", "saved_model"} <= set(adapters.names("detector"))
    assert {"embedded"} <= set(adapters.names("bus"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BadSetting, match=r"there is no detector named 'tflight'; there are: .*saved_model.*tflite"):
        adapters.build("detector", "tflight", {})


def test_values_take_the_types_of_the_options() -> None:
    made = adapters.checked(Options, {"path": "pictures", "fps": "2.5", "loop": "true"}, "source files")
    assert (made.path, made.fps, made.loop) == (Path("pictures"), 2.5, True)


def test_every_wrong_option_is_named_in_one_line() -> None:
    with pytest.raises(BadSetting) as caught:
        adapters.checked(Options, {"fps": "fast", "lop": True}, "source files")
    message = str(caught.value)
    assert message.startswith("source files: ")
    assert "path: is missing" in message
    assert "lop: there is no such setting" in message
    assert "fps: " in message
    assert "'fast'" in message
    assert "\n" not in message


def test_a_detector_without_its_model_says_so() -> None:
    with pytest.raises(BadSetting, match="detector tflite: model: is missing"):
        adapters.build("detector", "tflite", {})


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vigie.detectors.tflite", raising=False)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(Unavailable, match=r"the detector 'tflite' needs the package 'ai_edge_litert.*install it"):
        adapters.build("detector", "tflite", {"model": "models/demo"})


def test_asking_for_names_and_loading_a_detector_imports_no_tensorflow(tiny_bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vigie import adapters; from vigie.detectors import load_detector;"
        "adapters.names('detector'); load_detector(Path(sys.argv[1])); sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny_bundle)], check=False, timeout=60)
    assert done.returncode == 0
