"""Existing TFRecords of the TF Object Detection API (`.record` and `label_map.pbtxt`) back to Pascal VOC.

What comes out is a set like any other: to look at, to correct, to check and to prepare.
"""

# ruff: noqa: PLC0415

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from vigie import voc
from vigie.data.atomic import whole_folder
from vigie.data.quiet import quiet_tensorflow
from vigie.domain import Box, LabelledBox
from vigie.errors import BadAnnotation, BadData, BadPicture, BadSetting
from vigie.label_map import labels_by_id
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar

if TYPE_CHECKING:
    import tensorflow as tf

MARKER = "unpacked.txt"
_ENDINGS = {"jpeg": ".jpg", "mpo": ".jpg", "png": ".png", "bmp": ".bmp", "gif": ".gif", "webp": ".webp"}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def unpack(records: Path, out: Path, *, progress: bool = True) -> Path:
    """Write the pictures, their bytes as they are, and a label file for each into `out`, whole or not at all.

    Boxes are right to a hundredth of a pixel.

    Raises:
        BadData: there are no records, they are damaged, or `out` holds something else.
        BadAnnotation, BadPicture: naming the file and the record (from 1) that cannot be used.
    """
    files = sorted(path for path in records.glob("*record*") if path.is_file()) if records.is_dir() else []
    if not files:
        raise BadData(f"{records}: expected *.record or *.tfrecord files and label_map.pbtxt, found none")
    maps = sorted(records.glob("*.pbtxt"))
    if len(maps) > 1:
        raise BadData(f"{records}: holds several label maps: {', '.join(path.name for path in maps)}; keep one")
    labels = read_label_map(maps[0]) if maps else {}
    with whole_folder(out, marker=MARKER) as folder:
        (folder / "images").mkdir()
        (folder / "annotations").mkdir()
        taken: set[str] = set()
        found = progress_bar(_examples(files), total=None, description="Unpacking", unit="picture", show=progress)
        for where, example in found:
            _write(folder, where, example, labels, taken)
        (folder / MARKER).write_text("".join(f"{path.name}\n" for path in files), encoding="utf-8")
    return out


def read_label_map(path: Path) -> dict[int, str]:
    """Names by id.

    Raises:
        BadAnnotation: an item lacks its id or name, or an id stands there twice.
    """
    try:
        return labels_by_id(path)
    except BadSetting as error:
        raise BadAnnotation(str(error)) from error


def _examples(files: list[Path]) -> "Iterator[tuple[str, tf.train.Example]]":
    quiet_tensorflow()
    import tensorflow as tf
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # comes with TensorFlow

    for path in files:
        number = 0
        try:
            for number, record in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator(), start=1):
                yield f"{path}: record {number}", tf.train.Example.FromString(record)
        except (tf.errors.DataLossError, DecodeError) as error:
            raise BadData(f"{path}: is damaged after record {number}; get a whole copy of it") from error


def _write(folder: Path, where: str, example: "tf.train.Example", labels: Mapping[int, str], taken: set[str]) -> None:
    feature = example.features.feature
    encoded = feature["image/encoded"].bytes_list.value
    try:
        picture = Picture.from_bytes(encoded[0] if encoded else b"")
    except BadPicture as error:
        raise BadPicture(f"{where}: {error}") from error
    if picture.format not in _ENDINGS:
        raise BadPicture(f"{where}: a picture of the format {picture.format!r}; known are {', '.join(_ENDINGS)}")
    named = feature["image/filename"].bytes_list.value
    wanted = PurePosixPath(named[0].decode(errors="replace").replace("\\", "/")).stem if named else ""
    stem = free_stem(wanted.replace("\0", "") or "picture", taken)
    filename = stem + _ENDINGS[picture.format]
    (folder / "images" / filename).write_bytes(encoded[0])
    width, height = _size(feature) or (picture.width, picture.height)
    objects = _objects(feature, where, labels, width, height)
    voc.write_annotation(folder / "annotations" / f"{stem}.xml", filename, width, height, objects)


def _size(feature: "Mapping[str, tf.train.Feature]") -> tuple[int, int] | None:
    """As the record has it: for a picture with an EXIF orientation it tells whether the boxes lie or stand."""
    width, height = (feature[f"image/{side}"].int64_list.value for side in ("width", "height"))
    return (width[0], height[0]) if width and height and min(width[0], height[0]) > 0 else None


def free_stem(stem: str, taken: set[str]) -> str:
    """The stem, with a number where `taken` holds it already, in whichever case; it is added there."""
    number, free = 1, stem
    while free.casefold() in taken:
        number += 1
        free = f"{stem}_{number}"
    taken.add(free.casefold())
    return free


def _objects(
    feature: "Mapping[str, tf.train.Feature]", where: str, labels: Mapping[int, str], width: int, height: int
) -> list[LabelledBox]:
    sides = [feature[f"image/object/bbox/{name}"].float_list.value for name in _CORNERS]
    texts = feature["image/object/class/text"].bytes_list.value
    ids = feature["image/object/class/label"].int64_list.value
    lengths = {len(values) for values in (*sides, texts or ids)}
    if len(lengths) > 1:
        raise BadAnnotation(f"{where}: corners and classes of its objects differ in number: {sorted(lengths)}")
    objects = []
    for index, (xmin, ymin, xmax, ymax) in enumerate(zip(*sides, strict=True)):
        label = texts[index].decode(errors="replace") if texts else labels.get(ids[index], "")
        if not label:
            raise BadAnnotation(f"{where}: object {index + 1}: its class is in no label map; add label_map.pbtxt")
        # Records hold shares in single precision: rounding gives whole pixels back.
        corners = round(xmin * width, 2), round(ymin * height, 2), round(xmax * width, 2), round(ymax * height, 2)
        try:
            objects.append(LabelledBox(label, Box(*corners)))
        except ValueError as error:
            raise BadAnnotation(f"{where}: object {index + 1}: {error}") from error
    return objects
