"""Writes a VOC set again in the other formats, with the same pictures and boxes."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from vigie import voc


def as_coco(root: Path, out: Path, classes: Sequence[str]) -> Path:
    """The ids are neither dense nor in the order of the names."""
    folder = voc.open_folder(root)
    images, annotations = [], []
    for number, name in enumerate(folder.names):
        annotation = folder.read(name)
        assert annotation.size is not None
        width, height = annotation.size
        image = {"id": 900 - number, "file_name": annotation.filename, "width": width, "height": height}
        images.append(image)
        for labelled in annotation.objects:
            box = labelled.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": 10 + 7 * classes.index(labelled.label),
                    "bbox": [box.left, box.top, box.width, box.height],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 10 + 7 * number, "name": name} for number, name in enumerate(classes)]
    shutil.copytree(root / "images", out / "images")
    content = {"images": images, "annotations": annotations, "categories": categories[::-1]}
    (out / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    return out


def as_yolo(root: Path, out: Path, classes: Sequence[str]) -> Path:
    """Six digits, as tools write them."""
    folder = voc.open_folder(root)
    shutil.copytree(root / "images", out / "images")
    (out / "labels").mkdir()
    for name in folder.names:
        annotation = folder.read(name)
        assert annotation.size is not None
        width, height = annotation.size
        lines = [
            f"{classes.index(found.label)} {(found.box.left + found.box.right) / 2 / width:.6f} "
            f"{(found.box.top + found.box.bottom) / 2 / height:.6f} "
            f"{found.box.width / width:.6f} {found.box.height / height:.6f}\n"
            for found in annotation.objects
        ]
        (out / "labels" / name).with_suffix(".txt").write_text("".join(lines), encoding="utf-8")
    (out / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    return out
