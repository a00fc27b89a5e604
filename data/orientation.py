"""Boxes on pictures that a camera stored lying on their side (EXIF orientation, CIPA DC-008)."""

from pathlib import Path

from PIL import Image

from vigie.domain import Box

_TAG = 0x0112


def orientation_of(path: Path) -> int:
    """1 to 8; 1 where the picture names none. The header alone is read."""
    with Image.open(path) as header:
        # Not header.getexif(): for a PNG that decodes the whole picture, to look behind it.
        return int(Image.Image.getexif(header).get(_TAG, 1))


def upright(box: Box, orientation: int, stored_width: int, stored_height: int) -> Box:
    """A box on the pixels as they are stored, moved to where it lies once the picture is turned upright."""
    mirror, turn_x, turn_y = _STEPS[orientation]
    left, top, right, bottom = box.left, box.top, box.right, box.bottom
    if turn_x:
        left, right = stored_width - right, stored_width - left
    if turn_y:
        top, bottom = stored_height - bottom, stored_height - top
    return Box(top, left, bottom, right) if mirror else Box(left, top, right, bottom)


# Orientation -> exchange x and y in the end, run x backwards, run y backwards.
_STEPS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
