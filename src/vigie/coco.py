"""COCO detection labels (Lin et al. 2014, cocodataset.org/#format-data): one JSON for all pictures.

Boxes are left, top, width, height in pixels from 0. Crowds (`iscrowd`) stand for no single object and are left out.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from vigie.annotations import Annotation, content_of, label_file, pictures_in, subfolders, twice
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData

EXPECTED = "COCO (a JSON such as instances.json, here or in annotations/, with the pictures in any folder)"
_MAX_BYTES = 2 << 30
_LISTS = ("images", "annotations", "categories")
_DEPTH = 2  # pictures lie in the folder itself or as deep as images/train2017/


class CocoFolder:
    """A JSON and the pictures that it speaks of; the JSON is read when it is first asked for."""

    def __init__(self, root: Path, path: Path) -> None:
        self.root = root
        self.path = path

    @cached_property
    def pictures(self) -> Mapping[str, Path]:
        return pictures_in(self.root, depth=_DEPTH)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path, *self.pictures.values())

    @property
    def names(self) -> tuple[str, ...]:
        # What is wrong with the file as a whole is told once, not for each picture.
        _ = self._categories, self._objects
        return tuple(sorted(self._images))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the categories, in the order of their ids."""
        return tuple(self._categories[number] for number in sorted(self._categories))

    def read(self, name: str) -> Annotation:
        image = self._images[name]
        where = f"{self.path}: picture {name}"
        objects = tuple(
            self._object(found, f"{where}: object {number}")
            for number, found in enumerate(self._objects[image["id"]], start=1)
        )
        return Annotation(self.path, name, _size(image, where), objects, entry=f"picture {name}")

    def picture_of(self, annotation: Annotation) -> Path:
        """By `file_name` from the folder itself or from any folder of pictures in it."""
        found = self._by_end.get(PurePosixPath(annotation.filename or "").as_posix(), [])
        if len(found) == 1:
            return found[0]
        what = f"is in several folders: {', '.join(map(str, found))}; keep one" if found else (
            f"is nowhere in {self.root}, which holds {content_of(self.root)}; add it or remove its entry")  # fmt: skip
        raise BadAnnotation(f"{annotation.where}: the picture {what}")

    @cached_property
    def _by_end(self) -> dict[str, list[Path]]:
        """The pictures by each end of their path: images/a.jpg and a.jpg."""
        found: dict[str, list[Path]] = defaultdict(list)
        for key, path in self.pictures.items():
            parts = PurePosixPath(key).parts
            for start in range(len(parts)):
                found["/".join(parts[start:])].append(path)
        return found

    @cached_property
    def _content(self) -> dict[str, list[dict[str, Any]]]:
        try:
            content = json.loads(label_file(self.path, most_bytes=_MAX_BYTES))
        except (ValueError, RecursionError) as error:
            raise BadAnnotation(f"{self.path}: is no JSON: {error}") from error
        for name in _LISTS:
            entries = content.get(name) if isinstance(content, dict) else None
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise BadAnnotation(
                    f"{self.path}: has no list {name!r} of objects; COCO labels have {', '.join(_LISTS)}"
                )
        return {name: content[name] for name in _LISTS}

    @cached_property
    def _categories(self) -> dict[int, str]:
        entries = self._content["categories"]
        for number, entry in enumerate(entries, start=1):
            if not _is_id(entry.get("id")) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
                raise BadAnnotation(f"{self.path}: category {number} needs a whole id and a name, found {entry}")
        for key in ("id", "name"):
            self._once("categories", key)
        return {entry["id"]: entry["name"].strip() for entry in entries}

    @cached_property
    def _images(self) -> dict[str, dict[str, Any]]:
        for number, entry in enumerate(self._content["images"], start=1):
            if not _is_id(entry.get("id")) or not isinstance(entry.get("file_name"), str):
                raise BadAnnotation(f"{self.path}: image {number} needs a whole id and a file_name, found {entry}")
            parts = PurePosixPath(entry["file_name"]).parts
            if not parts or parts[0] == "/" or ".." in parts or "\\" in entry["file_name"]:
                raise BadAnnotation(
                    f"{self.path}: image {number} has the file_name {entry['file_name']!r}, "
                    "which leads out of the folder; give the picture's path inside it"
                )
        for key in ("id", "file_name"):
            self._once("images", key)
        return {entry["file_name"]: entry for entry in self._content["images"]}

    @cached_property
    def _objects(self) -> dict[int, list[dict[str, Any]]]:
        known = {image["id"] for image in self._images.values()}
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for number, entry in enumerate(self._content["annotations"], start=1):
            image = entry.get("image_id")
            if not _is_id(image) or image not in known:
                raise BadAnnotation(
                    f"{self.path}: annotation {number} (id {entry.get('id')}) is of image {image!r}, which is not in "
                    "'images'; add the image or remove the annotation"
                )
            if not entry.get("iscrowd"):
                found[entry["image_id"]].append(entry)
        return found

    def _once(self, entries: str, key: str) -> None:
        again = twice(entry[key] for entry in self._content[entries])
        if again:
            raise BadAnnotation(f"{self.path}: the {key} {again[0]!r} stands twice in {entries!r}; keep one")

    def _object(self, entry: dict[str, Any], where: str) -> LabelledBox:
        category = entry.get("category_id")
        if not _is_id(category) or category not in self._categories:
            raise BadAnnotation(
                f"{where}: the category {category!r} is not in 'categories', which has the ids "
                f"{', '.join(map(str, sorted(self._categories)[:20]))}; correct it or add the category"
            )
        bbox = entry.get("bbox")
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_place, bbox)):
            raise BadAnnotation(f"{where}: 'bbox' is {bbox!r}, expected [left, top, width, height] in pixels")
        left, top, width, height = map(float, bbox)
        # Rounded, for 0.1 + 0.2 is not 0.3.
        right, bottom = round(left + width, 6), round(top + height, 6)
        if left >= right or top >= bottom:
            raise BadAnnotation(f"{where}: 'bbox' is {bbox!r}, a box without an area; correct or remove it")
        return LabelledBox(self._categories[category], Box(left, top, right, bottom))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_place(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= 1_000_000  # which NaN is not either


def _size(image: dict[str, Any], where: str) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    if width is None and height is None:
        return None
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        raise BadAnnotation(f"{where}: has width {width!r} and height {height!r}; give both in whole pixels")
    return width, height


def find_folder(root: Path) -> CocoFolder | None:
    """The COCO set in a folder; None where no JSON looks like one.

    Raises:
        BadData: several do.
    """
    places = [root, *(path for path in subfolders(root) if path.name.lower() == "annotations")]
    found = [path for place in places for path in sorted(place.glob("*.json")) if _looks_like_coco(path)]
    if len(found) > 1:
        named = ", ".join(path.relative_to(root).as_posix() for path in found)
        raise BadData(f"{root}: holds several COCO label files: {named}; keep one of them in the folder")
    return CocoFolder(root, found[0]) if found else None


def _looks_like_coco(path: Path) -> bool:
    """By its name, or by the word that every COCO file has near an end: a large file is not parsed for it."""
    if not path.is_file() or path.name.startswith(("captions", "person_keypoints", "stuff_", "image_info")):
        return False
    if path.name.startswith("instances") or path.name.endswith(".coco.json"):
        return True
    with path.open("rb") as stream:
        start = stream.read(1 << 20)
        stream.seek(max(0, path.stat().st_size - (1 << 20)))
        return b'"categories"' in start + stream.read() and b'"images"' in start
