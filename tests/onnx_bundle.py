"""A bundle with nothing but a `model.onnx`, made by hand in milliseconds: one convolution that looks at every cell."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vigie.anchors import AnchorSpec
from vigie.bundle import ONNX, Bundle, InputSpec, ModelFacts
from vigie.export.publishing import new_staging, write_bundle

onnx = pytest.importorskip("onnx", reason="onnx is not installed: install vigie[onnx]")
LABELS = ("cat", "dog")
INPUT = InputSpec(width=96, height=64, mean_rgb=(120.0, 115.0, 105.0), std_rgb=(60.0, 61.0, 62.0))
ANCHORS = AnchorSpec(min_level=3, max_level=3)


def onnx_bundle(models: Path, **different: Any) -> Bundle:
    """`different` is passed on to `write_model`."""
    staged = new_staging(models / "handmade")
    write_model(staged / ONNX, **different)
    facts = ModelFacts(
        default=ONNX,
        labels=LABELS,
        input=INPUT,
        anchors=ANCHORS,
        score_threshold=0.6,
        data_hash="none",
        training_key="none",
        code="test",
        trial_source="synthetic:seed=1",
        step=0,
    )
    return write_bundle(staged, models / "handmade", facts)


def write_model(
    path: Path,
    *,
    batch: int | None = None,
    width: int | None = INPUT.width,
    scores: str = "scores",
    labels: int = len(LABELS),
    broken: bool = False,
    channels_first: bool = False,
) -> None:
    """`batch` and `width` None take any; `broken` has a weight that is no number."""
    columns = ANCHORS.per_cell * (4 + labels)
    weights = np.random.default_rng(4).normal(0, 0.1, (columns, 3, 8, 8)).astype(np.float32)
    if broken:
        weights[-1, 0, 0, 0] = np.nan
    rows = [4, labels]
    split = np.array([ANCHORS.per_cell * each for each in rows], np.int64)
    constants = {"weights": weights, "split": split, **{f"shape{each}": np.array([0, -1, each]) for each in rows}}
    nodes = [
        onnx.helper.make_node(
            "Transpose", ["pictures"], ["planes"], perm=[0, 1, 2, 3] if channels_first else [0, 3, 1, 2]
        ),
        onnx.helper.make_node("Conv", ["planes", "weights"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        onnx.helper.make_node("Transpose", ["cells"], ["last"], perm=[0, 2, 3, 1]),
        onnx.helper.make_node("Split", ["last", "split"], ["boxes", "logits"], axis=3),
        onnx.helper.make_node("Reshape", ["boxes", "shape4"], ["raw_boxes"]),
        onnx.helper.make_node("Reshape", ["logits", f"shape{labels}"], ["flat"]),
        onnx.helper.make_node("Sigmoid", ["flat"], [scores]),
    ]
    sides = [3, INPUT.height, width] if channels_first else [INPUT.height, width, 3]
    shape = [batch or "batch", *sides]
    graph = onnx.helper.make_graph(
        nodes,
        "handmade",
        [onnx.helper.make_tensor_value_info("pictures", onnx.TensorProto.FLOAT, shape)],
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, None, None])
            for name in ("raw_boxes", scores)
        ],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10), path)
