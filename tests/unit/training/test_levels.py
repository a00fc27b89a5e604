"""Inputs that are not square and levels from stride 4 on: what the network gives has one place an anchor."""

import math

import pytest

from vigie.experiment import Experiment

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")


@pytest.mark.parametrize(
    ("width", "height", "min_level", "max_level"), [(160, 96, 2, 7), (96, 224, 2, 5), (224, 96, 4, 8)]
)
def test_a_network_has_as_many_outputs_as_there_are_anchors_level_by_level(
    width: int, height: int, min_level: int, max_level: int
) -> None:
    import tensorflow as tf

    from vigie.training.config import decoder
    from vigie.training.model import RAW_BOXES, SCORES, build_network, inference_model

    anchors = {"min_level": min_level, "max_level": max_level, "scales": 1, "aspect_ratios": [1.0, 0.5]}
    experiment = Experiment.model_validate(
        {
            "name": "levels",
            "classes": ["cat", "dog"],
            "training": {"steps": 1},
            "model": {"input_width": width, "input_height": height, "anchors": anchors, "backbone_width": 0.35,
                      "fpn_filters": 16, "head_convs": 1},
        }
    )  # fmt: skip
    network = build_network(experiment)
    levels = network(tf.zeros((1, height, width, 3)), training=False)["box_outputs"]
    assert {int(level): tuple(found.shape[1:3]) for level, found in levels.items()} == {
        level: (math.ceil(height / 2**level), math.ceil(width / 2**level)) for level in range(min_level, max_level + 1)
    }
    outputs = inference_model(experiment, network)(tf.zeros((2, height, width, 3)))
    count = len(decoder(experiment).anchors)
    assert outputs[RAW_BOXES].shape == (2, count, 4)
    assert outputs[SCORES].shape == (2, count, 2)
