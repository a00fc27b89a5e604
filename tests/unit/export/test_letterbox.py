"""A model that was made for letterboxed pictures, from its files back to boxes."""

from pathlib import Path

import numpy as np
import pytest

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.bundle import FP32, InputSpec, ModelFacts, open_bundle
from vigie.decoding import Decoder
from vigie.detectors import load_detector
from vigie.pictures import Picture

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")

INPUT = InputSpec(width=96, height=64, resize="letterbox", mean_rgb=(0.0, 0.0, 0.0), std_rgb=(255.0, 255.0, 255.0))
ANCHORS = AnchorSpec(min_level=3, max_level=3, scales=1, aspect_ratios=(1.0,), size=1.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finds each cell of 8 px that is bright from edge to edge, as exactly that cell."""
    import tensorflow as tf
    import tf_keras

    from vigie.export.files.saved_model import write_saved_model
    from vigie.export.files.tflite import write_fp32
    from vigie.export.publishing import new_staging, write_bundle

    pixels = tf_keras.Input((INPUT.height, INPUT.width, 3))
    brightness = tf_keras.layers.AveragePooling2D(8)(tf.reduce_mean(pixels, axis=3, keepdims=True))
    scores = tf_keras.layers.Reshape((-1, 1))(tf.sigmoid(40 * (brightness - 0.9)))
    model = tf_keras.Model(pixels, {"raw_boxes": tf.tile(0 * scores, (1, 1, 4)), "scores": scores})
    out = tmp_path_factory.mktemp("models") / "bright"
    staged = new_staging(out)
    decoder = Decoder(("bright",), INPUT.width, INPUT.height, anchors_yxyx_px(ANCHORS, INPUT.width, INPUT.height),
                      resize="letterbox")  # fmt: skip
    write_saved_model(model, staged, INPUT, decoder)
    write_fp32(model, staged / FP32, INPUT)
    facts = ModelFacts(default=FP32, labels=("bright",), input=INPUT, anchors=ANCHORS, data_hash="none",
                       training_key="none", code="test", trial_source="synthetic:seed=1", step=0)  # fmt: skip
    return write_bundle(staged, out, facts).folder


def with_square(width: int, height: int, left: int, top: int, side: int) -> Picture:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top : top + side, left : left + side] = 255
    return Picture.from_pixels(pixels)


@pytest.mark.parametrize("runtime", ["tflite", "saved_model"])
def test_boxes_come_back_to_their_places_on_wide_and_tall_pictures_in_one_batch(bundle: Path, runtime: str) -> None:
    places = [
        (960, 320, 400, 160, 80),  # to 96x32, from 16 on down
        (960, 320, 0, 240, 80),  # in its lower left corner
        (64, 256, 32, 64, 32),  # to 16x64, from 40 on to the right
        (192, 128, 176, 0, 16),  # of the input's shape
        (96, 64, 8, 56, 8),  # of its size
    ]
    entries = load_detector(bundle, runtime=runtime).detect([with_square(*place) for place in places])
    for (_, _, left, top, side), [found] in zip(places, entries, strict=True):  # type: ignore[misc]
        box = found.box
        assert (box.left, box.top, box.right, box.bottom) == pytest.approx((left, top, left + side, top + side))


def test_the_manifest_tells_how_pictures_come_to_the_model_and_the_decoder_does_it(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert opened.manifest.input.resize == opened.decoder().resize == "letterbox"
    assert '"resize": "letterbox"' in (bundle / "manifest.json").read_text()
