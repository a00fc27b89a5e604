"""Anchor boxes, the reference grid that an SSD's raw box outputs are offsets from (Liu et al. 2016, arXiv:1512.02325).

Laid out as Model Garden's `official.vision.ops.anchor` lays them out, so that a checkpoint, its exports and the
runtimes agree: levels from fine to coarse, then rows, then columns, then scales, then aspect ratios.
"""

import math
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

Boxes: TypeAlias = npt.NDArray[np.float32]
"""N x 4: top, left, bottom, right in pixels of the detector's input."""


class AnchorSpec(BaseModel):
    """Which anchors a model has. Level L has stride 2**L pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_level: int = Field(default=3, ge=2, le=5, description="2, stride 4, to 5, the last that the backbone has")
    max_level: int = Field(default=7, ge=2, le=8)
    scales: int = Field(default=2, ge=1, le=4, description="anchors an octave: sizes stride * size * 2**(i / scales)")
    aspect_ratios: tuple[PositiveFloat, ...] = Field(
        default=(1.0, 2.0, 0.5), min_length=1, description="width / height"
    )
    size: PositiveFloat = Field(default=4.0, description="side of the smallest anchor of a level, in strides")

    @model_validator(mode="after")
    def _levels_in_order(self) -> Self:
        if self.max_level < self.min_level:
            raise ValueError(f"max_level {self.max_level} is below min_level {self.min_level}: there is no level")
        return self

    @property
    def per_cell(self) -> int:
        return self.scales * len(self.aspect_ratios)


def anchors_yxyx_px(spec: AnchorSpec, width: int, height: int) -> Boxes:
    """All anchors for an input of `width` x `height` pixels, N x 4; they may reach outside it."""
    return np.concatenate(
        [_level(spec, 2**level, width, height) for level in range(spec.min_level, spec.max_level + 1)]
    ).astype(np.float32)


def _level(spec: AnchorSpec, stride: int, width: int, height: int) -> npt.NDArray[np.float64]:
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    # Where the stride does not divide the side, Model Garden spreads the cells evenly over it.
    y = (np.arange(rows) + 0.5) * height / rows
    x = (np.arange(columns) + 0.5) * width / columns
    centre_y, centre_x = np.meshgrid(y, x, indexing="ij")
    sides = [
        (stride * spec.size * 2 ** (scale / spec.scales), math.sqrt(ratio))
        for scale in range(spec.scales)
        for ratio in spec.aspect_ratios
    ]
    half_width = np.array([side * root / 2 for side, root in sides])
    half_height = np.array([side / root / 2 for side, root in sides])
    cy, cx = centre_y[..., None], centre_x[..., None]
    corners = np.stack([cy - half_height, cx - half_width, cy + half_height, cx + half_width], axis=-1)
    return corners.reshape(-1, 4)
