"""What a folder of records holds, as tables to look at."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vigie.data.manifest import Manifest
from vigie.data.parts import PARTS
from vigie.data.prepare import load_manifest
from vigie.resizing import InputSize, Resize


def class_counts(manifest: Manifest) -> pd.DataFrame:
    """Boxes: a row a class, a column a part, and their sum."""
    table = pd.DataFrame(
        {part: manifest.parts[part].boxes for part in PARTS}, index=pd.Index(manifest.classes, name="class")
    )
    return table.assign(all=table.sum(axis=1))


def picture_counts(manifest: Manifest) -> pd.DataFrame:
    """A row a part: its pictures, those without an object among them, its share of all pictures, its boxes."""
    facts = [manifest.parts[part] for part in PARTS]
    pictures = pd.Series([part.pictures for part in facts], index=pd.Index(PARTS, name="part"))
    return pd.DataFrame(
        {
            "pictures": pictures,
            "without_objects": [part.without_objects for part in facts],
            "share": pictures / pictures.sum(),
            "boxes": [sum(part.boxes.values()) for part in facts],
        }
    )


def boxes_at_input(records: Path, input_width: int, input_height: int, resize: Resize = "stretch") -> pd.DataFrame:
    """A row a box in pixels of a detector's input that pictures come to by `resize`: part, class, left, top, right and
    bottom from 0, width, height and side (root of the area).

    Raises:
        BadData: the records are missing or half-made.
    """
    classes = load_manifest(records).classes
    tables = [pd.read_csv(records / f"{part}_labels.csv").assign(part=part) for part in PARTS]
    boxes = pd.concat(tables, ignore_index=True)
    across, down, x, y = _placements(boxes, InputSize(input_width, input_height, resize))
    # VOC's corners count from 1, the last pixel included.
    left, right = x + (boxes["xmin"] - 1) * across, x + boxes["xmax"] * across
    top, bottom = y + (boxes["ymin"] - 1) * down, y + boxes["ymax"] * down
    return pd.DataFrame(
        {
            "part": boxes["part"],
            "class": pd.Categorical(boxes["class"], categories=list(classes)),
            "left_px": left,
            "top_px": top,
            "right_px": right,
            "bottom_px": bottom,
            "width_px": right - left,
            "height_px": bottom - top,
            "side_px": ((right - left) * (bottom - top)) ** 0.5,
        }
    )


def _placements(boxes: pd.DataFrame, size: InputSize) -> npt.NDArray[np.float64]:
    """Factors across and down, and the picture's left and top at the input, a column a box."""
    pictures = list(zip(boxes["width"].tolist(), boxes["height"].tolist(), strict=True))
    placed = {picture: size.placement(*picture) for picture in set(pictures)}
    places = [placed[picture] for picture in pictures]
    return np.array([[it.across, it.down, it.left, it.top] for it in places], np.float64).reshape(-1, 4).T


def clipped_boxes(manifest: Manifest) -> pd.DataFrame:
    """A row a box that reached outside its picture: file, object (from 1), class, and left, top, right, bottom in
    pixels from 0, before and after; `after` is empty where nothing was left.
    """
    rows = [(cut.file, cut.object, cut.label, cut.before, cut.after) for cut in manifest.clipped]
    return pd.DataFrame(rows, columns=["file", "object", "class", "before", "after"])
