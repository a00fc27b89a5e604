"""What a model found, as label files that LabelImg opens for correction: Pascal VOC beside copies of the pictures.

`labelImg OUT/images OUT/predefined_classes.txt OUT/Annotations`; the layout is that of `vigie data export`, and
`vigie data prepare OUT` reads it back.
"""

import math
from collections.abc import Sequence
from pathlib import Path, PurePath

from vigie.domain import Box, Detections, LabelledBox
from vigie.voc import write_annotation

IMAGES = "images"
ANNOTATIONS = "Annotations"
CLASSES = "predefined_classes.txt"


class VocLabels:
    """Fills a folder, a picture at a time."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        self._folder = folder
        self._taken: set[str] = set()
        for name in (IMAGES, ANNOTATIONS):
            (folder / name).mkdir()
        (folder / CLASSES).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")

    def write(self, found: Detections, name: str, encoded: bytes) -> None:
        """A picture, as it is, and its label file; both get another name where a picture before had this stem."""
        filename = self._free(name)
        (self._folder / IMAGES / filename).write_bytes(encoded)
        write_annotation(
            self._folder / ANNOTATIONS / f"{PurePath(filename).stem}.xml",
            filename,
            found.width,
            found.height,
            [LabelledBox(one.label, whole_pixels(one.box, found.width, found.height)) for one in found.detections],
        )

    def _free(self, name: str) -> str:
        # Labelling tools find a label file by the picture's stem; XML has no control characters.
        path = PurePath("".join(letter if letter.isprintable() else "_" for letter in name))
        stem, number = path.stem, 1
        while stem.lower() in self._taken:
            number += 1
            stem = f"{path.stem}_{number}"
        self._taken.add(stem.lower())
        return stem + path.suffix


def whole_pixels(box: Box, width: int, height: int) -> Box:
    """The nearest one on whole pixels in the picture, for LabelImg drops fractions; each side has at least a pixel."""
    left, right = _side(box.left, box.right, width)
    top, bottom = _side(box.top, box.bottom, height)
    return Box(left, top, right, bottom)


def _side(low: float, high: float, length: int) -> tuple[int, int]:
    first, last = math.floor(low + 0.5), math.floor(high + 0.5)
    if first == last:  # less than a pixel: the one that its middle lies in
        first = min(math.floor((low + high) / 2), length - 1)
        last = first + 1
    return max(first, 0), min(last, length)
