"""A bundle's ONNX file in ONNX Runtime. What all detectors promise is in tests/contracts/test_detectors.py."""

import shutil
import sys
from pathlib import Path
from typing import Any

import needs
import numpy as np
import numpy.typing as npt
import pytest
from coco_photographs import map50
from onnx_bundle import INPUT, LABELS, onnx_bundle, write_model

from vigie import adapters
from vigie.bundle import ONNX, Bundle
from vigie.detectors import load_detector
from vigie.errors import BadBundle, BadPicture, Unavailable
from vigie.foreign.sidecar import sidecar_path
from vigie.pictures import Picture
from vigie.resizing import normalised
from vigie.zoo.catalogue import CATALOGUE

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: install vigie[onnxruntime]")

WORDS = {
    "another size": ({"width": 32}, r"takes pictures \(any, 64, 32, 3\) float32, the manifest expects .*64, 96, 3"),
    "unknown outputs": ({"scores": "class_probs"}, "outputs class_probs, raw_boxes, the manifest expects scores"),
    "too many labels": ({"labels": 3}, r"scores have the shape \(1, 576, 3\).* expect \(1, 576, 2\)"),
    "not a number": ({"broken": True}, "scores are not finite"),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return onnx_bundle(tmp_path_factory.mktemp("models"))


def pictures(number: int) -> npt.NDArray[np.uint8]:
    shape = (number, INPUT.height, INPUT.width, 3)
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def threads_here() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_it_gives_what_the_file_gives_of_normalised_pixels(bundle: Bundle) -> None:
    detector = adapters.build("detector", "onnxruntime", {"model": bundle.folder})
    session = onnxruntime.InferenceSession(bundle.folder / ONNX)
    shown = pictures(3)
    boxes, scores = session.run(["raw_boxes", "scores"], {"pictures": normalised(shown, INPUT.mean_rgb, INPUT.std_rgb)})
    found = detector.outputs(shown)
    np.testing.assert_allclose(found[0], boxes, atol=1e-5)
    np.testing.assert_allclose(found[1], scores, atol=1e-6)
    assert detector.labels == LABELS


def test_a_bundle_of_onnx_alone_is_run_without_naming_a_runtime(bundle: Bundle) -> None:
    shown = pictures(1)
    own = load_detector(bundle.folder)
    named = load_detector(bundle.folder, runtime="onnxruntime", file=ONNX)
    np.testing.assert_array_equal(own.outputs(shown)[1], named.outputs(shown)[1])  # type: ignore[attr-defined]


def test_it_takes_as_many_threads_as_it_is_given(bundle: Bundle) -> None:
    started = {}
    for threads in (1, 3):
        before = threads_here()
        detector = adapters.build("detector", "onnxruntime", {"model": bundle.folder, "threads": threads})
        started[threads] = threads_here() - before
        del detector
    assert started == {1: 0, 3: 2}  # the caller's own is one of them


@pytest.mark.parametrize(("different", "words"), WORDS.values(), ids=WORDS)
def test_a_file_that_does_not_fit_its_bundle_is_refused(
    different: dict[str, object], words: str, tmp_path: Path
) -> None:
    bundle = onnx_bundle(tmp_path, **different)
    with pytest.raises(BadBundle, match=words) as raised:
        adapters.build("detector", "onnxruntime", {"model": bundle.folder})
    assert str(bundle.folder / ONNX) in str(raised.value)


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_a_file_that_is_cut_short_is_refused(kept: int, tmp_path: Path) -> None:
    from vigie.detectors.onnxruntime import OnnxHeads

    bundle = onnx_bundle(tmp_path)
    path = bundle.folder / ONNX
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadBundle, match="cannot be loaded by ONNX Runtime"):
        OnnxHeads(bundle, path, threads=1)
    with pytest.raises(BadBundle, match="was changed after its export"):
        adapters.build("detector", "onnxruntime", {"model": bundle.folder})


SIDECAR = f"""
labels: [cat, dog]
input: {{mean: {list(INPUT.mean_rgb)}, std: {list(INPUT.std_rgb)}}}
score_threshold: 0.6
raw: {{anchors: {{min_level: 3, max_level: 3}}}}
"""


@pytest.mark.parametrize("channels_first", [False, True], ids=["channels last", "channels first"])
def test_a_file_of_others_is_run_as_its_sidecar_says(channels_first: bool, bundle: Bundle, tmp_path: Path) -> None:
    write_model(tmp_path / "theirs.onnx", channels_first=channels_first)
    (tmp_path / "theirs.onnx.yaml").write_text(SIDECAR)
    shown = [Picture.from_pixels(pixels) for pixels in pictures(2)]
    theirs = load_detector(tmp_path / "theirs.onnx").detect(shown)
    assert theirs == load_detector(bundle.folder).detect(shown)
    assert all(theirs)


def test_a_file_of_others_that_does_not_say_what_its_pixels_are_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "theirs.onnx")
    with pytest.raises(BadBundle, match=r"takes float32 pixels .* write `input: .*theirs\.onnx\.yaml"):
        load_detector(tmp_path / "theirs.onnx")


@pytest.mark.parametrize("different", [{"batch": 2}, {"width": None}], ids=["two at a time", "any width"])
def test_a_file_of_others_that_takes_something_else_than_one_picture_is_refused(
    different: dict[str, Any], tmp_path: Path
) -> None:
    write_model(tmp_path / "theirs.onnx", **different)
    with pytest.raises(
        BadBundle, match=r"theirs.onnx: takes pictures \[.*\] float32, and a detector takes one picture"
    ):
        load_detector(tmp_path / "theirs.onnx")


def test_a_quantised_file_of_others_finds_what_its_twin_in_litert_finds(tmp_path: Path) -> None:
    on_onnx, on_litert = (load_detector(_published(tmp_path, ending)) for ending in ("onnx", "tflite"))
    photograph = Picture.from_file(needs.shared_data() / "coco_val200/images/000000000785.jpg")
    [one], [other] = on_onnx.detect([photograph]), on_litert.detect([photograph])
    assert not isinstance(one, BadPicture)
    assert not isinstance(other, BadPicture)
    best, twin = one[0], other[0]
    assert best.label == twin.label == "person"
    assert best.score == pytest.approx(twin.score, abs=0.05)
    for edge in ("left", "top", "right", "bottom"):
        assert getattr(best.box, edge) == pytest.approx(getattr(twin.box, edge), abs=8)


@pytest.mark.slow
def test_the_quantised_ssd_mobilenet_reaches_its_precision(tmp_path: Path) -> None:
    """.258 of the 200 photographs, in LiteRT .261."""
    assert map50(load_detector(_published(tmp_path, "onnx"), score_threshold=0.01)) >= 0.24


def _published(folder: Path, ending: str) -> Path:
    """The model of the shared data with the sidecar that it is fetched with."""
    source = needs.shared_data() / "models/ssd_mobilenet_v2_fpnlite_coco80_int8"
    model = folder / f"model.{ending}"
    shutil.copy(source / f"ssd_mobilenet_v2_fpnlite_10_256_int8.{ending}", model)
    sidecar_path(model).write_text(CATALOGUE["ssd-mobilenet-v2-fpnlite"].sidecar)
    return model


def test_without_the_library_a_person_is_told_how_to_get_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vigie.detectors.onnxruntime", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Unavailable, match=r"'onnxruntime' needs the package 'onnxruntime'; .*pip install onnxruntime"):
        load_detector(bundle.folder, runtime="onnxruntime")
