"""What TensorFlow resizes inside a model is what OpenCV resizes outside."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("tensorflow", reason="TensorFlow is not installed: install vigie[train]")

import tensorflow as tf

from vigie.bundle import InputSpec
from vigie.export.files.graph_resizing import placed, placement
from vigie.resizing import InputSize, Resize, resized

Pictures = npt.NDArray[np.uint8]


@pytest.fixture(scope="module", params=["stretch", "letterbox"])
def resize(request: pytest.FixtureRequest) -> Resize:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def in_graph(resize: Resize) -> Callable[[Pictures], tuple[Pictures, list[int]]]:
    spec = InputSpec(width=96, height=64, resize=resize, mean_rgb=(0, 0, 0), std_rgb=(1, 1, 1))

    def run(pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        place = placement(tf.shape(pictures)[1], tf.shape(pictures)[2], spec)
        return placed(pictures, place, spec), place

    traced = tf.function(run, input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)], autograph=False)

    def arrays(pictures: Pictures) -> tuple[Pictures, list[int]]:
        inputs, place = traced(pictures)
        return inputs.numpy(), place.numpy().tolist()

    return arrays


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 700), height=st.integers(1, 700), seed=st.integers(0, 2**32 - 1))
@example(width=96, height=64, seed=1)
@example(width=192, height=128, seed=2)  # OpenCV has a way of its own for halves
@example(width=1, height=1, seed=3)
@example(width=4000, height=3, seed=4)
@example(width=2, height=3000, seed=5)
def test_pictures_of_any_size_come_to_the_same_pixels_at_the_same_place(
    in_graph: Callable[[Pictures], tuple[Pictures, list[int]]], resize: Resize, width: int, height: int, seed: int
) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    size = InputSize(96, 64, resize)
    inputs, place = in_graph(pictures)
    expected = size.placement(width, height)
    assert place == [expected.top, expected.left, expected.height, expected.width]
    np.testing.assert_array_equal(inputs, [resized(one, size) for one in pictures])
