"""Overlaps and codes, against numbers worked out by hand and a slow reference."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Floats = npt.NDArray[np.float32]

A, CORNER, BESIDE = (0, 0, 2, 2), (1, 1, 3, 3), (0, 6, 2, 8)


def one(*box: float) -> Any:
    import tensorflow as tf

    return tf.constant([box], tf.float32)


@pytest.mark.parametrize(
    ("other", "iou", "giou", "diou"),
    [
        (A, 1, 1, 1),
        # A seventh is shared. The box around both has 9 px, 2 of them empty; centres are (1, 1) apart, its diagonal
        # is (3, 3): 1/7 - 2/9 and 1/7 - 2/18.
        (CORNER, 1 / 7, 1 / 7 - 2 / 9, 1 / 7 - 2 / 18),
        # Nothing is shared. The box around both is 2 x 8 with 8 px empty; centres are 6 apart, 36 / (4 + 64).
        (BESIDE, 0, -8 / 16, -36 / 68),
        # Inside: a quarter; nothing is empty around; centres are (.5, .5) apart, the diagonal is that of A.
        ((0, 0, 1, 1), 1 / 4, 1 / 4, 1 / 4 - 0.5 / 8),
    ],
)
def test_overlaps_worked_out_by_hand(other: tuple[float, ...], iou: float, giou: float, diou: float) -> None:
    from vigie.training import box_geometry

    found = [float(getattr(box_geometry, name)(one(*A), one(*other))[0]) for name in ("iou", "giou", "diou")]
    assert found == pytest.approx([iou, giou, diou], abs=1e-6)


def reference(a: Floats, b: Floats) -> tuple[float, float, float]:
    """IoU, GIoU and DIoU of two boxes, as their papers have them."""
    (ay0, ax0, ay1, ax1), (by0, bx0, by1, bx1) = a.tolist(), b.tolist()
    shared = max(0.0, min(ay1, by1) - max(ay0, by0)) * max(0.0, min(ax1, bx1) - max(ax0, bx0))
    union = (ay1 - ay0) * (ax1 - ax0) + (by1 - by0) * (bx1 - bx0) - shared
    height, width = max(ay1, by1) - min(ay0, by0), max(ax1, bx1) - min(ax0, bx0)
    distance = math.hypot((ay0 + ay1 - by0 - by1) / 2, (ax0 + ax1 - bx0 - bx1) / 2)
    iou = shared / union
    return (
        iou,
        iou - (height * width - union) / (height * width),
        iou - distance**2 / math.hypot(height, width) ** 2,
    )


@st.composite
def boxes(draw: st.DrawFn, count: int = 6) -> Floats:
    corner = st.floats(0, 500, width=32)
    side = st.floats(0.125, 300, width=32)
    rows = [(draw(corner), draw(corner), draw(side), draw(side)) for _ in range(count)]
    return np.array([(y, x, y + height, x + width) for y, x, height, width in rows], np.float32)


@settings(max_examples=60, deadline=None)
@given(boxes(), boxes())
def test_overlaps_are_those_of_the_reference(these: Floats, others: Floats) -> None:
    from vigie.training.box_geometry import diou, giou, iou

    expected = np.array([reference(a, b) for a, b in zip(these, others, strict=True)])
    for column, overlap in enumerate((iou, giou, diou)):
        np.testing.assert_allclose(overlap(these, others), expected[:, column], atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(boxes(), boxes())
def test_codes_lead_back_to_their_boxes(these: Floats, anchors: Floats) -> None:
    from vigie.training.box_geometry import decoded, encoded

    size, anchor_size = these[:, 2:] - these[:, :2], anchors[:, 2:] - anchors[:, :2]
    kept = (size / anchor_size).max(axis=1) < 1000 / 16
    codes = encoded(these, anchors)
    assert np.all(np.isfinite(codes))
    np.testing.assert_allclose(decoded(codes, anchors)[kept], these[kept], rtol=1e-3, atol=1e-2)


def test_codes_are_those_that_detection_reads() -> None:
    from vigie.decoding import Decoder
    from vigie.training.box_geometry import decoded

    anchors = np.array([(10, 20, 42, 52), (0, 0, 16, 32)], np.float32)
    raw = np.array([(1.0, -2.0, 0.5, -1.0), (3.0, 0.0, 40.0, 0.0)], np.float32)
    reader = Decoder(("a",), 100_000, 100_000, anchors, score_threshold=0)
    read = [reader.decode(raw[[at]], np.ones((1, 1), np.float32), width=100_000, height=100_000) for at in (0,)]
    (box,) = (found.box for found in read[0])
    mine = decoded(raw, anchors).numpy()
    assert (box.top, box.left, box.bottom, box.right) == pytest.approx(tuple(mine[0]))
    assert mine[1, 2] - mine[1, 0] == pytest.approx(16 * 1000 / 16)  # cut: exp(8) would be 2981


@pytest.mark.parametrize("name", ["giou", "diou"])
@pytest.mark.parametrize(
    "codes",
    [(0, 0, 0, 0), (0, 0, -600, -600), (0, 0, 600, 600), (6e4, -6e4, 6e4, -6e4), (1, 1, 1, 1)],
    ids=["the anchor", "nothing left", "cut", "the ends of half precision", "near"],
)
@pytest.mark.parametrize("target", [(0, 0, 0, 0), (0, 0, 1e-6, 1e-6)], ids=["sound", "nearly a point"])
def test_losses_and_gradients_are_finite_whatever_the_network_says(
    name: str, codes: tuple[float, ...], target: tuple[float, ...]
) -> None:
    import tensorflow as tf

    from vigie.training import box_geometry

    overlap: Callable[[Any, Any], Any] = getattr(box_geometry, name)
    anchor = one(8, 8, 24, 40)
    true = anchor if not any(target) else one(*target)
    given = tf.Variable(one(*codes))
    with tf.GradientTape() as tape:
        found = overlap(box_geometry.decoded(given, anchor), true)
    assert np.all(np.isfinite(found))
    assert np.all(np.isfinite(tape.gradient(found, given)))
