"""A detector comes from a bundle that fits its model, or not at all."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vigie import adapters
from vigie.bundle import open_bundle
from vigie.cartoons import MovingScene
from vigie.detectors import load_detector, runnable
from vigie.errors import BadBundle, BadSetting
from vigie.pictures import Picture


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bundle, tmp_path / "tiny" / "1")


def edit(bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def replace(bundle: Path, name: str, content: bytes) -> None:
    """As if it had been exported like this."""
    (bundle / name).write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit(bundle, lambda manifest: manifest["files"].update({name: entry}))


def camera(frames: int) -> list[Picture]:
    scene = MovingScene(1, 320, 240, 3)
    return [Picture.from_pixels(scene.at(10 * seq)[0]) for seq in range(frames)]


def test_the_tiny_bundle_finds_something_on_every_cartoon(tiny_bundle: Path) -> None:
    assert all(load_detector(tiny_bundle).detect(camera(20)))


def test_the_name_folder_loads_its_newest_version(tiny_bundle: Path) -> None:
    assert load_detector(tiny_bundle.parent).detect(camera(2)) == load_detector(tiny_bundle).detect(camera(2))


def test_the_default_file_decides_the_runtime_and_comes_first(bundle: Path) -> None:
    assert runnable(open_bundle(bundle)) == {"model_fp32.tflite": "tflite", "saved_model.pb": "saved_model"}
    edit(bundle, lambda manifest: manifest.update(default="saved_model.pb"))
    assert list(runnable(open_bundle(bundle))) == ["saved_model.pb", "model_fp32.tflite"]


def test_a_runtime_without_a_file_tells_what_there_is(bundle: Path) -> None:
    with pytest.raises(BadBundle, match=r"has no file that openvino could run; it has model_fp32\.tflite \(tflite\)"):
        load_detector(bundle, runtime="openvino")
    with pytest.raises(BadBundle, match=r"has no model_int8\.tflite that a runtime could run"):
        load_detector(bundle, file="model_int8.tflite")


def test_the_threads_change_nothing_that_is_found(bundle: Path) -> None:
    assert load_detector(bundle, threads=1).detect(camera(3)) == load_detector(bundle, threads=2).detect(camera(3))


def test_thresholds_of_single_labels_hold_in_the_detector(bundle: Path) -> None:
    before = [{one.label for one in entry} for entry in load_detector(bundle).detect(camera(10))]
    assert set().union(*before) == {"with_mask", "without_mask", "mask_weared_incorrect"}
    edit(bundle, lambda manifest: manifest.update(thresholds={"with_mask": 1.0, "without_mask": 1.0}))
    after = [{one.label for one in entry} for entry in load_detector(bundle).detect(camera(10))]
    assert set().union(*after) == {"mask_weared_incorrect"}


def test_a_file_that_was_changed_is_not_loaded(bundle: Path) -> None:
    (bundle / "model_fp32.tflite").write_bytes(b"tampered")
    with pytest.raises(BadBundle, match="was changed after its export"):
        load_detector(bundle)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x1c\x00\x00\x00TFL3" + b"\xff" * 64])
def test_a_file_that_is_no_tflite_model_is_refused_by_name(bundle: Path, content: bytes) -> None:
    replace(bundle, "model_fp32.tflite", content)
    with pytest.raises(BadBundle, match=r"model_fp32\.tflite: cannot be loaded by LiteRT") as caught:
        load_detector(bundle)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_cut_short_is_refused(bundle: Path) -> None:
    replace(bundle, "model_fp32.tflite", (bundle / "model_fp32.tflite").read_bytes()[:2000])
    with pytest.raises(BadBundle, match=r"model_fp32\.tflite: cannot be loaded by LiteRT"):
        load_detector(bundle)


def test_a_saved_model_that_is_none_is_refused_by_name(bundle: Path) -> None:
    replace(bundle, "saved_model.pb", b"no model")
    with pytest.raises(BadBundle, match=r"saved_model\.pb: cannot be loaded by TensorFlow"):
        load_detector(bundle, runtime="saved_model")


@pytest.mark.parametrize("runtime", ["tflite", "saved_model"])
def test_outputs_of_other_names_are_refused(bundle: Path, runtime: str) -> None:
    edit(bundle, lambda manifest: manifest.update(outputs={"boxes": "offsets", "scores": "scores"}))
    with pytest.raises(BadBundle, match="has the outputs raw_boxes, scores, the manifest expects offsets"):
        load_detector(bundle, runtime=runtime)


@pytest.mark.parametrize("runtime", ["tflite", "saved_model"])
def test_outputs_are_told_apart_by_name_not_by_place(bundle: Path, runtime: str) -> None:
    edit(bundle, lambda manifest: manifest.update(outputs={"boxes": "scores", "scores": "raw_boxes"}))
    with pytest.raises(BadBundle, match=r"raw boxes have the shape \(1, 1134, 3\)"):
        load_detector(bundle, runtime=runtime)


def test_a_model_of_another_input_size_is_refused(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest["input"].update(width=128))
    with pytest.raises(BadBundle, match=r"takes \S+ \(1, 96, 96, 3\) float32, the manifest expects .* 96, 128, 3"):
        load_detector(bundle)


@pytest.mark.parametrize("runtime", ["tflite", "saved_model"])
def test_anchors_that_do_not_fit_the_model_are_refused_before_the_first_frame(bundle: Path, runtime: str) -> None:
    edit(bundle, lambda manifest: manifest["anchors"].update(max_level=6))
    with pytest.raises(BadBundle, match="its anchors and labels expect"):
        load_detector(bundle, runtime=runtime)


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(BadSetting, match="detector tflite: thread: there is no such setting"):
        adapters.build("detector", "tflite", {"model": "models/demo", "thread": 2})
