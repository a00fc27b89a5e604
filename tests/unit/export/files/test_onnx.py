"""An ONNX file is the checkpoint's network, by the name and shape that every file has."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vigie.bundle import InputSpec
from vigie.cartoons import random_scene
from vigie.decoding import Decoder
from vigie.errors import BadBundle
from vigie.resizing import normalised
from vigie.runs import Run

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: install vigie[train]")

import onnx
import onnxruntime
import tensorflow as tf

from vigie.export.files.onnx import write_onnx
from vigie.export.files.raw_model import RawModel

Raw = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
SPEC = InputSpec(width=96, height=64, mean_rgb=(0, 0, 0), std_rgb=(1, 1, 1))


@pytest.fixture(scope="module")
def checkpoint(untrained_run: Run) -> RawModel:
    from vigie.training.network.model import raw_model

    return raw_model(untrained_run.experiment, untrained_run.checkpoints, normalised_input=True)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def decoder(untrained_run: Run) -> Decoder:
    from vigie.training.network.config import decoder

    return decoder(untrained_run.experiment)


@pytest.fixture(scope="module")
def file(checkpoint: RawModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(checkpoint, path, SPEC)
    return path


@pytest.fixture(scope="module")
def pictures() -> npt.NDArray[np.float32]:
    from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB

    pixels = np.stack([random_scene(seed, 96, 64, max_faces=3)[0] for seed in range(12)])
    return normalised(pixels, PIXEL_MEAN_RGB, PIXEL_STD_RGB)


def by_onnx_runtime(path: Path, pictures: npt.NDArray[np.float32]) -> Raw:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    boxes, scores = session.run(["raw_boxes", "scores"], {"pictures": pictures})
    return boxes, scores


def by_openvino(path: Path, pictures: npt.NDArray[np.float32]) -> Raw:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: install vigie[openvino]")
    # The processor's short numbers are a choice of the runtime: here it is the file that is asked about.
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({"pictures": pictures})
    return found["raw_boxes"], found["scores"]


@pytest.mark.parametrize("run", [by_onnx_runtime, by_openvino])
def test_it_gives_the_checkpoints_boxes_and_scores(
    run: Any, file: Path, checkpoint: RawModel, decoder: Decoder, pictures: npt.NDArray[np.float32]
) -> None:
    expected = {name: one.numpy() for name, one in checkpoint(tf.constant(pictures), training=False).items()}
    assert expected["scores"].std(axis=0).mean() > 0.01  # it does look at the pictures
    boxes, scores = run(file, pictures)
    assert scores.shape == (12, len(decoder.anchors), 3)
    # The untrained network's random weights make larger numbers than a trained one's, and so larger roundings.
    assert np.abs(scores - expected["scores"]).max() <= 1e-4
    decoded, expected_boxes = (
        np.stack([corners_px(decoder, one) for one in raw]) for raw in (boxes, expected["raw_boxes"])
    )
    assert np.abs(decoded - expected_boxes).max() <= 0.01


def corners_px(decoder: Decoder, raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Top, left, bottom, right in the input, not clipped; as in Ren et al. 2015."""
    top_left, bottom_right = decoder.anchors[:, :2], decoder.anchors[:, 2:]
    size, (y, x, height, width) = bottom_right - top_left, decoder.box_weights
    centre = (top_left + bottom_right) / 2 + raw[:, :2] / (y, x) * size
    half = np.exp(raw[:, 2:] / (height, width)) * size / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def test_any_number_of_pictures_runs_at_once_and_each_as_alone(file: Path, pictures: npt.NDArray[np.float32]) -> None:
    boxes, scores = by_onnx_runtime(file, pictures)
    for place in (0, 5, 11):
        one_boxes, one_scores = by_onnx_runtime(file, pictures[place : place + 1])
        np.testing.assert_allclose(one_boxes[0], boxes[place], atol=1e-3)
        np.testing.assert_allclose(one_scores[0], scores[place], atol=1e-5)


def test_names_and_shapes_are_those_of_every_file(file: Path, decoder: Decoder) -> None:
    model = onnx.load(file)
    shapes = {
        one.name: [side.dim_param or side.dim_value for side in one.type.tensor_type.shape.dim]
        for one in (*model.graph.input, *model.graph.output)
    }
    anchors = len(decoder.anchors)
    assert shapes == {
        "pictures": ["batch", 64, 96, 3],
        "raw_boxes": ["batch", anchors, 4],
        "scores": ["batch", anchors, 3],
    }
    assert [(one.domain, one.version) for one in model.opset_import if not one.domain] == [("", 17)]


def test_its_weights_lie_in_it_once_and_only_the_picture_and_the_heads_are_transposed(
    file: Path, checkpoint: RawModel
) -> None:
    weights = sum(4 * np.prod(variable.shape) for variable in checkpoint.variables)
    assert file.stat().st_size < 1.1 * weights
    nodes = [node.op_type for node in onnx.load(file).graph.node]
    levels = len(range(3, 7))
    upsampled = levels - 1
    assert nodes.count("Transpose") <= 1 + 2 * levels + 2 * upsampled < nodes.count("Conv") / 4


def test_a_runtime_loads_it_without_a_warning(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    resized = [node for node in onnx.load(file).graph.node if node.op_type == "Resize"]
    modes = {one.name: one.s for node in resized for one in node.attribute}
    assert len(resized) == 2  # from level 5 to 4, and from there to 3
    assert (modes["coordinate_transformation_mode"], modes["nearest_mode"]) == (b"asymmetric", b"floor")
    onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert "".join(capfd.readouterr()) == ""


class Unknown:
    """A model with an operation that ONNX does not have."""

    variables: tuple[Any, ...] = ()

    def __call__(self, pictures: Any, *, training: bool) -> dict[str, Any]:
        assert not training
        keys = tf.strings.to_hash_bucket_fast(tf.strings.as_string(pictures), 7)
        return {"raw_boxes": tf.cast(keys, tf.float32), "scores": pictures}


def test_a_model_that_onnx_cannot_say_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match=r"model\.onnx: the converter made no valid ONNX model"):
        write_onnx(Unknown(), tmp_path / "model.onnx", SPEC)
    assert list(tmp_path.iterdir()) == []


def test_the_converters_are_quiet(checkpoint: RawModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_onnx(Plain(), tmp_path / "model.onnx", SPEC)
    assert "".join(capfd.readouterr()) == ""


class Plain:
    """A model of two operations."""

    variables: tuple[Any, ...] = ()

    def __call__(self, pictures: Any, *, training: bool) -> dict[str, Any]:
        assert not training
        return {"raw_boxes": tf.reshape(pictures, (-1, 64 * 72, 4)), "scores": tf.reshape(pictures, (-1, 64 * 32, 9))}
