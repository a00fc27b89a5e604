"""Boxes and labels on a picture, for people to look at."""

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from vigie.domain import Box, Detection, LabelledBox
from vigie.pictures import Pixels

# Okabe and Ito's colours, told apart by colour-blind eyes too; red, green, blue.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 158, 115), (213, 94, 0), (240, 228, 66), (86, 180, 233), (204, 121, 167), (230, 159, 0), (0, 114, 178),
)  # fmt: skip
_UNKNOWN = (200, 200, 200)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT_PX = 22  # of a capital letter at scale 1, about
_DASH_PX = 6


def colour_of(label: str, labels: Sequence[str]) -> tuple[int, int, int]:
    """The label's colour by its place in `labels`, the same on every picture; grey for one that is not among them."""
    return PALETTE[list(labels).index(label) % len(PALETTE)] if label in labels else _UNKNOWN


def draw(rgb: Pixels, objects: Sequence[LabelledBox | Detection], labels: Sequence[str]) -> Pixels:
    """A copy with every object's box and label; what was found has a solid box and its score above it, what a
    person marked a dashed one and its label below it. The best detection is drawn last, over the others.
    """
    canvas = np.ascontiguousarray(rgb).copy()
    draw_on(canvas, objects, labels)
    return canvas


def draw_on(canvas: Pixels, objects: Sequence[LabelledBox | Detection], labels: Sequence[str]) -> None:
    """As `draw`, onto the pixels themselves."""
    thickness_px = max(1, round(min(canvas.shape[:2]) / 240))
    for item in reversed(objects):
        colour = colour_of(item.label, labels)
        if isinstance(item, Detection):
            cv2.rectangle(canvas, *_corners(item.box), colour, thickness_px)
        else:
            _dashed(canvas, item.box, colour, thickness_px)
        _tag(canvas, item, colour)


def _corners(box: Box) -> tuple[tuple[int, int], tuple[int, int]]:
    return (round(box.left), round(box.top)), (round(box.right) - 1, round(box.bottom) - 1)


def _dashed(canvas: Pixels, box: Box, colour: tuple[int, int, int], thickness_px: int) -> None:
    (left, top), (right, bottom) = _corners(box)
    dash_px = _DASH_PX * thickness_px
    for x in range(left, right, 2 * dash_px):
        for y in (top, bottom):
            cv2.line(canvas, (x, y), (min(x + dash_px, right), y), colour, thickness_px)
    for y in range(top, bottom, 2 * dash_px):
        for x in (left, right):
            cv2.line(canvas, (x, y), (x, min(y + dash_px, bottom)), colour, thickness_px)


def _tag(canvas: Pixels, item: LabelledBox | Detection, colour: tuple[int, int, int]) -> None:
    text = _plain(f"{item.label} {item.score:.0%}" if isinstance(item, Detection) else item.label)
    height, width = canvas.shape[:2]
    scale = max(0.35, min(width, height) / 1000)
    weight = max(1, round(scale * 1.6))
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, scale, weight)
    pad = max(2, round(scale * _FONT_HEIGHT_PX / 4))
    tag_width, tag_height = text_width + 2 * pad, text_height + 2 * pad
    # Outside the box where there is room, else just inside the picture.
    wanted = item.box.top - tag_height if isinstance(item, Detection) else item.box.bottom
    left = round(min(max(item.box.left, 0), max(0, width - tag_width)))
    top = round(min(max(wanted, 0), max(0, height - tag_height)))
    cv2.rectangle(canvas, (left, top), (left + tag_width - 1, top + tag_height - 1), colour, cv2.FILLED)
    origin = (left + pad, top + pad + text_height)
    cv2.putText(canvas, text, origin, _FONT, scale, _ink(colour), weight, cv2.LINE_AA)


def _ink(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever reads better on the colour (luminance by ITU-R BT.601)."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else (255, 255, 255)


def _plain(text: str) -> str:
    """OpenCV's font has ASCII letters only: accents are dropped, other signs become question marks."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return bare.encode("ascii", "replace").decode("ascii")
