"""A SavedModel that does not fit its bundle is refused by what is wrong with it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vigie.bundle import open_bundle
from vigie.detectors import load_detector
from vigie.errors import BadBundle

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: install vigie[train]")

import tensorflow as tf

HEADS: dict[str, tuple[int, ...]] = {"raw_boxes": (1134, 4), "scores": (1134, 3)}


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bundle, tmp_path / "tiny" / "1")


def replace(
    bundle: Path,
    *,
    signature: str = "raw_heads",
    pictures: tuple[Any, ...] = (None, 96, 96, 3),
    kind: Any = tf.uint8,
    outputs: dict[str, tuple[int, ...]] = HEADS,
) -> None:
    """By a model whose heads are constants, as if it had been exported like this."""

    def run(pictures: Any) -> dict[str, Any]:
        return {name: tf.zeros((tf.shape(pictures)[0], *shape)) for name, shape in outputs.items()}

    holder = tf.Module()
    holder.run = tf.function(run, input_signature=[tf.TensorSpec(pictures, kind, "pictures")])
    for name in ("saved_model.pb", "fingerprint.pb"):
        (bundle / name).unlink()
    shutil.rmtree(bundle / "variables")
    tf.saved_model.save(holder, str(bundle), signatures={signature: holder.run})
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in manifest["files"]:
        content = (bundle / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_a_model_that_fits_is_loaded(bundle: Path) -> None:
    replace(bundle)
    assert load_detector(bundle, runtime="saved_model").labels == open_bundle(bundle).manifest.labels


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda bundle: replace(bundle, signature="serve"), "has the signatures serve, this needs raw_heads"),
        (
            lambda bundle: replace(bundle, pictures=(None, 64, 96, 3)),
            r"raw_heads takes pictures \(None, 64, 96, 3\) uint8, .* expects pictures \(None, 96, 96, 3\) uint8",
        ),
        (lambda bundle: replace(bundle, kind=tf.float32), r"takes pictures .* float32, the manifest expects .* uint8"),
        (lambda bundle: replace(bundle, pictures=(1, 96, 96, 3)), r"takes pictures \(1, 96, 96, 3\) uint8"),
        (
            lambda bundle: replace(bundle, outputs={"boxes": (1134, 4), "scores": (1134, 3)}),
            "raw_heads has the outputs boxes, scores, the manifest expects raw_boxes",
        ),
        (
            lambda bundle: replace(bundle, outputs={"raw_boxes": (1134, 4), "scores": (1134, 5)}),
            r"its scores have the shape \(1, 1134, 5\), its anchors and labels expect \(1, 1134, 3\)",
        ),
    ],
    ids=["signature", "size", "kind", "fixed batch", "outputs", "labels"],
)
def test_a_model_that_does_not_fit_is_refused(bundle: Path, change: Callable[[Path], None], told: str) -> None:
    change(bundle)
    with pytest.raises(BadBundle, match=told) as caught:
        load_detector(bundle, runtime="saved_model")
    assert "saved_model.pb" in str(caught.value)
    assert "export" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_its_variables_is_refused(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in [name for name in manifest["files"] if name.startswith("variables/")]:
        del manifest["files"][name]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(bundle / "variables")
    with pytest.raises(BadBundle, match=r"saved_model\.pb: cannot be loaded by TensorFlow") as caught:
        load_detector(bundle, runtime="saved_model")
    assert "\n" not in str(caught.value)
