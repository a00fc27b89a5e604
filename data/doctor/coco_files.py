"""A COCO file as it stands, faults and all: what `vigie.coco` would refuse is kept beside what could be read."""

import json
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from vigie.data.doctor.label_files import Corners, LabelFile, MarkedObject, Problem, Unreadable, content_of

_MAX_BYTES = 2 << 30
_LISTS = ("images", "annotations", "categories")
_LARGEST = 1_000_000

Entry = dict[str, Any]


def read_coco_file(path: Path, name: str) -> tuple[list[LabelFile], list[Problem]]:
    """What it says of each picture, and what is wrong with the file as a whole; `name` is the file's in messages.

    Crowds (`iscrowd`) stand for no single object and are left out.
    """
    try:
        content = _content(path)
    except Unreadable as error:
        return [], [error.problem]
    problems: list[Problem] = []
    categories = _categories(content["categories"], problems)
    images = _images(content["images"], problems)
    refused = {entry.get("id") for entry in content["images"] if isinstance(entry, dict) and _is_id(entry.get("id"))}
    of_image = _by_image(content["annotations"], images, refused - images.keys(), problems)
    labels = [_labels(name, image, of_image[number], categories) for number, image in images.items()]
    return sorted(labels, key=lambda it: it.name), problems


def _content(path: Path) -> dict[str, list[Any]]:
    encoded = content_of(path, _MAX_BYTES)
    try:
        content = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise Unreadable("annotation-corrupt", f"it is no JSON: {error}") from error
    missing = [name for name in _LISTS if not isinstance(content, dict) or not isinstance(content.get(name), list)]
    if missing:
        raise Unreadable("annotation-not-coco", f"it has no list {' and no list '.join(map(repr, missing))}")
    return {name: content[name] for name in _LISTS}


def _categories(entries: list[Any], problems: list[Problem]) -> dict[int, str]:
    found: dict[int, str] = {}
    for place, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not _is_id(entry.get("id")) or not _is_text(entry.get("name")):
            problems.append(Problem("entry-incomplete", f"category {place} lacks a whole id or a name: {entry!r:.120}"))
        elif entry["id"] in found or entry["name"].strip() in found.values():
            problems.append(Problem("entry-twice", f"category {place} has the id or name of another: {entry!r:.120}"))
        else:
            found[entry["id"]] = entry["name"].strip()
    return found


def _images(entries: list[Any], problems: list[Problem]) -> dict[int, Entry]:
    found: dict[int, Entry] = {}
    names: set[str] = set()
    for place, entry in enumerate(entries, start=1):
        problem = _image_problem(entry, f"image {place}")
        if problem is None and (entry["id"] in found or entry["file_name"] in names):
            said = f"image {place} has the id or file_name of another: {entry['id']}, {entry['file_name']!r:.120}"
            problem = Problem("entry-twice", said)
        if problem is not None:
            problems.append(problem)
        else:
            found[entry["id"]] = entry
            names.add(entry["file_name"])
    return found


def _image_problem(entry: Any, said: str) -> Problem | None:
    if not isinstance(entry, dict) or not _is_id(entry.get("id")) or not _is_text(entry.get("file_name")):
        return Problem("entry-incomplete", f"{said} lacks a whole id or a file_name: {entry!r:.120}")
    name = entry["file_name"]
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in name or "\0" in name:
        return Problem("path-traversal", f"{said} has the file_name {name!r:.120}")
    return None


def _by_image(
    entries: list[Any], images: dict[int, Entry], refused: set[Any], problems: list[Problem]
) -> dict[int, list[Entry]]:
    """Annotations of `refused` images are no finding of their own: their image is one."""
    found: dict[int, list[Entry]] = defaultdict(list)
    seen: set[int] = set()
    for place, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            problems.append(Problem("entry-incomplete", f"annotation {place} of the list is {entry!r:.120}"))
            continue
        number = _number(entry, place)
        if number in seen:
            problems.append(Problem("annotation-id-twice", f"the id of annotation {place} is another's too", number))
        seen.add(number)
        image = entry.get("image_id")
        if _is_id(image) and image in refused:
            continue
        if not _is_id(image) or image not in images:
            said = f"it is of image {image!r:.60}, which is not in 'images' (place {place} in the list)"
            problems.append(Problem("annotation-astray", said, number))
        elif not entry.get("iscrowd"):
            found[image].append({**entry, "id": number})
    return found


def _number(entry: Entry, place: int) -> int:
    """The id, else the place in the list."""
    number = entry.get("id")
    return number if isinstance(number, int) and not isinstance(number, bool) else place


def _labels(name: str, image: Entry, entries: list[Entry], categories: dict[int, str]) -> LabelFile:
    filename = image["file_name"]
    read = [_object(entry, categories) for entry in entries]
    problems = [it for it in read if isinstance(it, Problem)]
    objects = tuple(it for it in read if isinstance(it, MarkedObject))
    size = _size(image)
    if isinstance(size, Problem):
        problems.append(size)
    told = None if isinstance(size, Problem) else size
    stem = PurePosixPath(filename).stem
    return LabelFile(f"{name}: picture {filename}", stem, filename, told, objects, tuple(problems))


def _object(entry: Entry, categories: dict[int, str]) -> MarkedObject | Problem:
    category, bbox = entry.get("category_id"), entry.get("bbox")
    if not _is_id(category) or category not in categories:
        known = ", ".join(map(str, sorted(categories)[:20])) or "none"
        return Problem(
            "class-id-unknown", f"its category {category!r:.60} is not in 'categories' (ids {known})", entry["id"]
        )
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_place, bbox)):
        said = f"its 'bbox' is {bbox!r:.120}, expected [left, top, width, height] in pixels"
        return Problem("object-incomplete", said, entry["id"])
    left, top, width, height = map(float, bbox)
    # Rounded, for 0.1 + 0.2 is not 0.3.
    corners = Corners(left, top, round(left + width, 6), round(top + height, 6), first=0)
    return MarkedObject(entry["id"], categories[category], corners)


def _size(image: Entry) -> tuple[int, int] | Problem:
    width, height = image.get("width"), image.get("height")
    if width is None and height is None:
        return Problem("size-missing", "it has no width and height")
    if not (_is_id(width) and _is_id(height) and 0 < width <= _LARGEST and 0 < height <= _LARGEST):
        return Problem("size-unreadable", f"it has the width {width!r:.40} and the height {height!r:.40}")
    return width, height


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_place(value: Any) -> bool:
    # NaN fails too.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
