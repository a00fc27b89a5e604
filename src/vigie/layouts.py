"""Find out what kind of set a folder of annotated pictures is."""

from pathlib import Path

from vigie import coco, voc, yolo
from vigie.annotations import AnnotatedSet, content_of
from vigie.errors import BadData

_FORMATS = (voc, yolo, coco)


def open_set(root: Path) -> AnnotatedSet:
    """The set in a folder, in whichever format and layout it has; names are taken in the case they have on disk.

    Raises:
        BadData: there is none, or it is not whole; the message names the layouts that are known and what was found.
    """
    found: AnnotatedSet | None
    if root.is_dir():
        for kind in _FORMATS:
            found = kind.find_folder(root)
            if found is not None:
                return found
    expected = "; ".join(kind.EXPECTED for kind in _FORMATS)
    what = f"found {content_of(root)}" if root.is_dir() else "there is no such folder"
    raise BadData(f"{root}: {what}. Expected one of: {expected}. TFRecords become one by `vigie data unpack`")
