"""Pictures with up to three rectangles, each alone in its colour channel: where one stands is read off the pixels.

Rectangles may overlap. The ground is black, what is placed around pictures is dark enough to be told apart.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

Boxes = npt.NDArray[np.float32]
_VISIBLE = 127.5  # half of a rectangle's value: where bilinear interpolation puts its edge


@dataclass(frozen=True)
class Rectangles:
    """`classes` are the channels, from 0 on; boxes in pixels, whole numbers."""

    image: npt.NDArray[np.uint8] = field(repr=False)
    boxes_yxyx_px: Boxes
    classes: npt.NDArray[np.int64]

    @property
    def boxes(self) -> Boxes:
        return (self.boxes_yxyx_px / np.tile(self.image.shape[:2], 2)).astype(np.float32)


def drawn(height: int, width: int, boxes_yxyx_px: list[tuple[int, int, int, int]]) -> Rectangles:
    image = np.zeros((height, width, 3), np.uint8)
    for channel, (top, left, bottom, right) in enumerate(boxes_yxyx_px):
        image[top:bottom, left:right, channel] = 255
    corners = np.array(boxes_yxyx_px, np.float32).reshape(-1, 4)
    return Rectangles(image, corners, np.arange(len(boxes_yxyx_px), dtype=np.int64))


@st.composite
def rectangles(draw: st.DrawFn, least: int = 0) -> Rectangles:
    height, width = draw(st.integers(40, 80)), draw(st.integers(40, 80))
    boxes = []
    for _ in range(draw(st.integers(least, 3))):
        top, left = draw(st.integers(0, height - 8)), draw(st.integers(0, width - 8))
        boxes.append((top, left, draw(st.integers(top + 8, height)), draw(st.integers(left + 8, width))))
    return drawn(height, width, boxes)


def seen(image: npt.NDArray[np.generic], channel: int) -> Boxes | None:
    """Corners in pixels of what is visible of a channel's rectangle; none where nothing is."""
    rows, columns = np.nonzero(np.asarray(image)[:, :, channel] > _VISIBLE)
    if not len(rows):
        return None
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1], np.float32)


def assert_boxes_follow(image: npt.NDArray[np.generic], boxes: Boxes, classes: npt.NDArray[np.int64]) -> None:
    """Each box lies inside, has an area, and is where its own rectangle is seen, to the pixel."""
    assert len(boxes) == len(classes) == len(set(classes.tolist()))
    assert np.all(boxes >= 0)
    assert np.all(boxes <= 1)
    assert np.all(boxes[:, 2:] > boxes[:, :2])
    for box, channel in zip(boxes * np.tile(image.shape[:2], 2), classes, strict=True):
        found = seen(image, int(channel))
        # A sliver of less than a pixel may fall between two pixel centres.
        if found is None:
            assert np.min(box[2:] - box[:2]) < 1
        else:
            np.testing.assert_allclose(box, found, atol=1.0)
