"""What a folder of records holds, as tables to look at."""

from pathlib import Path

import pandas as pd

from vigie.data.manifest import Manifest
from vigie.data.parts import PARTS
from vigie.data.prepare import load_manifest


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


def boxes_at_input(records: Path, input_width: int, input_height: int) -> pd.DataFrame:
    """A row a box in pixels of a detector's input that pictures are stretched to: part, class, left, top, right and
    bottom from 0, width, height and side (root of the area).

    Raises:
        BadData: the records are missing or half-made.
    """
    classes = load_manifest(records).classes
    tables = [pd.read_csv(records / f"{part}_labels.csv").assign(part=part) for part in PARTS]
    boxes = pd.concat(tables, ignore_index=True)
    across, down = input_width / boxes["width"], input_height / boxes["height"]
    # VOC's corners count from 1, the last pixel included.
    left, right = (boxes["xmin"] - 1) * across, boxes["xmax"] * across
    top, bottom = (boxes["ymin"] - 1) * down, boxes["ymax"] * down
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


def clipped_boxes(manifest: Manifest) -> pd.DataFrame:
    """A row a box that reached outside its picture: file, object (from 1), class, and left, top, right, bottom in
    pixels from 0, before and after; `after` is empty where nothing was left.
    """
    rows = [(cut.file, cut.object, cut.label, cut.before, cut.after) for cut in manifest.clipped]
    return pd.DataFrame(rows, columns=["file", "object", "class", "before", "after"])
