"""Our anchors are Model Garden's, to the pixel and in its order."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from vigie.anchors import AnchorSpec, anchors_yxyx_px

pytest.importorskip("official", reason="tf-models-official is not installed: install vigie[train]")


def model_garden(spec: AnchorSpec, width: int, height: int) -> np.ndarray:
    from official.vision.ops.anchor import Anchor

    levels = Anchor(
        min_level=spec.min_level,
        max_level=spec.max_level,
        num_scales=spec.scales,
        aspect_ratios=list(spec.aspect_ratios),
        anchor_size=spec.size,
        image_size=(height, width),
    ).multilevel_boxes
    return np.concatenate(
        [np.reshape(levels[str(level)], (-1, 4)) for level in range(spec.min_level, spec.max_level + 1)]
    )


@pytest.mark.parametrize(
    ("spec", "width", "height"),
    [
        (AnchorSpec(), 320, 320),
        (AnchorSpec(), 512, 320),
        (AnchorSpec(), 192, 192),
        (AnchorSpec(), 224, 96),  # neither is a multiple of the coarsest stride
        (AnchorSpec(), 320, 192),  # 3 x 2 cells of 128 px
        (AnchorSpec(), 352, 224),
        (AnchorSpec(), 64, 1536),  # half a cell wide on the coarsest level
        (AnchorSpec(min_level=2, size=3.0), 320, 192),
        (AnchorSpec(min_level=2, max_level=6, scales=3), 352, 224),
        (AnchorSpec(min_level=2, max_level=8, scales=1, aspect_ratios=(0.35, 1.7)), 96, 160),
        (AnchorSpec(scales=3, aspect_ratios=(0.6, 1.0), min_level=3, max_level=6, size=2.0), 512, 512),
        (AnchorSpec(scales=1, aspect_ratios=(1.0,), min_level=2, max_level=2), 64, 64),
    ],
)
def test_anchors_are_model_gardens_in_its_order(spec: AnchorSpec, width: int, height: int) -> None:
    np.testing.assert_allclose(anchors_yxyx_px(spec, width, height), model_garden(spec, width, height), atol=1e-3)


@pytest.mark.parametrize(("width", "height"), [(320, 192), (352, 224), (96, 160), (64, 96)])
@pytest.mark.parametrize(("min_level", "max_level"), [(2, 7), (2, 8), (3, 7), (4, 6), (5, 5)])
def test_levels_of_odd_sizes_are_laid_out_as_model_garden_lays_them_out(
    min_level: int, max_level: int, width: int, height: int
) -> None:
    spec = AnchorSpec(min_level=min_level, max_level=max_level, scales=1, aspect_ratios=(0.5, 1.5), size=2.5)
    np.testing.assert_allclose(anchors_yxyx_px(spec, width, height), model_garden(spec, width, height), atol=1e-3)


def test_there_are_as_many_anchors_as_cells_times_shapes() -> None:
    cells = sum(math.ceil(320 / 2**level) ** 2 for level in range(3, 8))
    assert anchors_yxyx_px(AnchorSpec(), 320, 320).shape == (cells * AnchorSpec().per_cell, 4)


def test_the_first_anchor_stands_on_the_first_cell_of_the_finest_level() -> None:
    first = anchors_yxyx_px(AnchorSpec(), 320, 320)[0]
    # Stride 8, four strides wide, centre at (4, 4).
    np.testing.assert_allclose(first, [-12, -12, 20, 20])


@pytest.mark.parametrize(
    ("levels", "said"),
    [({"min_level": 5, "max_level": 4}, "max_level 4 is below min_level 5"), ({"min_level": 6}, "5")],
)
def test_levels_that_no_network_has_are_refused(levels: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AnchorSpec.model_validate(levels)
