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


def box_sizes(records: Path, input_width: int, input_height: int) -> pd.DataFrame:
    """A row a box: part, class, and width, height and side (root of the area) in pixels of a detector's input
    that pictures are stretched to.

    Raises:
        BadData: the records are missing or half-made.
    """
    classes = load_manifest(records).classes
    tables = [pd.read_csv(records / f"{part}_labels.csv").assign(part=part) for part in PARTS]
    boxes = pd.concat(tables, ignore_index=True)
    width_px = (boxes["xmax"] - boxes["xmin"] + 1) * input_width / boxes["width"]
    height_px = (boxes["ymax"] - boxes["ymin"] + 1) * input_height / boxes["height"]
    return pd.DataFrame(
        {
            "part": boxes["part"],
            "class": pd.Categorical(boxes["class"], categories=list(classes)),
            "width_px": width_px,
            "height_px": height_px,
            "side_px": (width_px * height_px) ** 0.5,
        }
    )


def clipped_boxes(manifest: Manifest) -> pd.DataFrame:
    """A row a box that reached outside its picture: file, object (from 1), class, and left, top, right, bottom in
    pixels from 0, before and after; `after` is empty where nothing was left.
    """
    rows = [(cut.file, cut.object, cut.label, cut.before, cut.after) for cut in manifest.clipped]
    return pd.DataFrame(rows, columns=["file", "object", "class", "before", "after"])
