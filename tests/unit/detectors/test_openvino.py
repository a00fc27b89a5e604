"""A bundle's ONNX file in OpenVINO. What all detectors promise is in tests/contracts/test_detectors.py."""

import ctypes
import logging
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnx_bundle import INPUT, LABELS, onnx_bundle

from vigie import adapters
from vigie.bundle import ONNX, Bundle
from vigie.detectors import load_detector
from vigie.errors import BadBundle, BadSetting, Unavailable
from vigie.raw_heads import RawHeadsDetector

openvino = pytest.importorskip("openvino", reason="openvino is not installed: install vigie[openvino]")
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


def detector(bundle: Bundle, **options: object) -> RawHeadsDetector:
    made: RawHeadsDetector = adapters.build("detector", "openvino", {"model": bundle.folder, **options})
    return made


def has_bf16() -> bool:
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def needs_bf16() -> None:
    if not has_bf16():
        pytest.skip("needs a processor with bfloat16")


@pytest.mark.parametrize("threads", [1, 2])
def test_in_single_precision_it_gives_what_onnx_runtime_gives(bundle: Bundle, threads: int) -> None:
    shown = pictures(3)
    of_onnx = load_detector(bundle.folder, runtime="onnxruntime").outputs(shown)  # type: ignore[attr-defined]
    found = detector(bundle, precision="f32", threads=threads)
    assert found.labels == LABELS
    for one, other in zip(found.outputs(shown), of_onnx, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_pixels_may_be_a_view_and_what_was_found_stays_when_the_next_picture_comes(bundle: Bundle) -> None:
    exact = detector(bundle, precision="f32")
    shown = pictures(2)
    of_view = exact.outputs(np.repeat(shown, 2, axis=2)[:, :, ::2])
    kept = [one.copy() for one in of_view]
    exact.outputs(pictures(3))
    for one, before, again in zip(of_view, kept, exact.outputs(shown), strict=True):
        np.testing.assert_array_equal(one, before)
        np.testing.assert_array_equal(one, again)


def test_half_precision_is_near_but_not_the_same(bundle: Bundle) -> None:
    needs_bf16()
    shown = pictures(2)
    exact, half = (detector(bundle, precision=each).outputs(shown)[1] for each in ("f32", "bf16"))
    assert 1e-5 < np.abs(exact - half).max() < 0.02


def test_auto_is_half_precision_where_the_processor_has_it_and_the_log_says_which(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    expected = "bf16" if has_bf16() else "f32"
    shown = pictures(2)
    with caplog.at_level(logging.INFO, "vigie.detectors.openvino"):
        auto = detector(bundle)
    assert f"file=model.onnx precision={expected} threads=2" in caplog.text
    np.testing.assert_array_equal(auto.outputs(shown)[1], detector(bundle, precision=expected).outputs(shown)[1])


def test_a_processor_without_half_precision_takes_single_and_refuses_to_be_told_otherwise(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Older:
        def __init__(self) -> None:
            self.real = real()

        def get_property(self, device: str, name: str) -> object:
            found = self.real.get_property(device, name)
            return [one for one in found if one != "BF16"] if name == "OPTIMIZATION_CAPABILITIES" else found

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    real = openvino.Core
    monkeypatch.setattr(openvino, "Core", Older)
    with caplog.at_level(logging.INFO, "vigie.detectors.openvino"):
        detector(bundle)
    assert "precision=f32" in caplog.text
    with pytest.raises(BadSetting, match="this processor has none; take auto or f32"):
        detector(bundle, precision="bf16")


def test_an_unknown_precision_is_named(bundle: Bundle) -> None:
    with pytest.raises(BadSetting, match="precision: input should be 'auto', 'f32' or 'bf16'"):
        detector(bundle, precision="fp16")


def test_a_file_for_one_picture_at_a_time_runs_as_well(tmp_path: Path) -> None:
    shown = pictures(2)
    one_by_one = detector(onnx_bundle(tmp_path / "one", batch=1), precision="f32").outputs(shown[:1])
    of_any = detector(onnx_bundle(tmp_path / "any"), precision="f32").outputs(shown)
    np.testing.assert_allclose(one_by_one[1][0], of_any[1][0], atol=1e-6)


@pytest.mark.parametrize(("different", "words"), WORDS.values(), ids=WORDS)
def test_a_file_that_does_not_fit_its_bundle_is_refused(
    different: dict[str, object], words: str, tmp_path: Path
) -> None:
    bundle = onnx_bundle(tmp_path, **different)
    with pytest.raises(BadBundle, match=words) as raised:
        detector(bundle)
    assert str(bundle.folder / ONNX) in str(raised.value)


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_a_file_that_is_cut_short_is_refused(kept: int, tmp_path: Path) -> None:
    from vigie.detectors.openvino import OpenvinoHeads

    bundle = onnx_bundle(tmp_path)
    path = bundle.folder / ONNX
    path.write_bytes(path.read_bytes()[:kept])
    before = signal_stack()
    with pytest.raises(BadBundle, match="cannot be loaded by OpenVINO"):
        OpenvinoHeads(bundle, path, threads=1, precision="f32")
    assert signal_stack() == before


def signal_stack() -> bytes:
    """Of this thread: one that OpenVINO has freed would end the process at the next Ctrl-C."""
    stack = ctypes.create_string_buffer(64)
    assert ctypes.CDLL(None).sigaltstack(None, stack) == 0
    return stack.raw


def test_without_the_library_a_person_is_told_how_to_get_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vigie.detectors.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(Unavailable, match=r"'openvino' needs the package 'openvino'; .*pip install openvino"):
        load_detector(bundle.folder, runtime="openvino")
