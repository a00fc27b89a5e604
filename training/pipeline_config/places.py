"""Files that a `pipeline.config` names: its paths are those of another folder, and often of another machine."""

from pathlib import Path, PurePosixPath

from vigie.errors import BadSetting
from vigie.label_map import labels_by_id
from vigie.protobuf_text.sections import Found, Section
from vigie.training.pipeline_config.notes import Book

_UNSET = "PATH_TO_BE_CONFIGURED"
_READERS = {"train": "train_input_reader", "validation": "eval_input_reader"}


def files_named(named: str, config: Path) -> tuple[Path, ...]:
    """What a path or a pattern such as `train.record-?????-of-00010` stands for here; nothing where it is not found.

    Looked for as it is, from the folder of `config` and each folder above it (such projects are run from their top),
    and at last by its name beside `config`.
    """
    path = PurePosixPath(named.replace("\\", "/"))
    if named == _UNSET or path.name in ("", "..") or "**" in path.name or "\0" in named:
        return ()
    folder = config.resolve().parent
    for place in (*(above / path for above in (folder, *folder.parents)), Path(path), folder / path.name):
        several = (match for match in place.parent.glob(place.name) if match.is_file())
        found = (place,) if place.is_file() else tuple(sorted(several))
        if found:
            return found
    return ()


def read_classes(root: Section, ssd: Section, config: Path, label_map: Path | None, book: Book) -> None:
    """The labels of the label map, by their ids.

    Raises:
        BadSetting: it is not found, or cannot be used.
    """
    readers = [reader for name in _READERS.values() for reader in root.sections(name)]
    named = [reader.text("label_map_path") for reader in readers]
    wanted = next((found for found in named if found.value), None)
    path = label_map if label_map is not None else _label_map(root, wanted, config)
    display = [reader.flag("use_display_name", default=False) for reader in readers]
    classes = _classes(path, display=any(found.value for found in display))
    book.settings["classes"] = classes
    for found in named:
        if found.leaves and wanted is not None and found.value == wanted.value:
            book.tell("classes", str(path), found)
        else:
            book.leave(found, f"another label map than that of the training, {path}, which counts for both")
    for asked in display:
        book.keep(asked, "labels are as the label map has them")
    number = ssd.whole("num_classes", 0)
    if number.value == len(classes):
        book.tell("classes", f"{len(classes)} classes", number)
    else:
        book.leave(number, f"the label map has {len(classes)} classes, which count")


def _label_map(root: Section, wanted: Found[str] | None, config: Path) -> Path:
    if wanted is None:
        raise BadSetting(f"{root.where}: names no label_map_path; give the label map with --label-map")
    found = files_named(wanted.value, config)
    if not found:
        raise BadSetting(
            f"{root.where}: line {wanted.line}: {wanted.path}: {wanted.value!r} is neither found from "
            f"{config.parent} upwards nor by its name beside the file; give the label map with --label-map"
        )
    return found[0]


def _classes(path: Path, *, display: bool) -> tuple[str, ...]:
    """In the order of their ids, which may have gaps."""
    labels = labels_by_id(path, display=display)
    if labels.pop(0, "background") != "background":
        raise BadSetting(f"{path}: id 0 is the background's; ids count from 1")
    if not labels:
        raise BadSetting(f"{path}: holds no item; expected a label map, `item {{ id: 1 name: 'cat' }}` ...")
    ordered = tuple(label for _, label in sorted(labels.items()))
    twice = sorted({label for label in ordered if ordered.count(label) > 1})
    if twice:
        raise BadSetting(f"{path}: has several ids for {', '.join(twice)}")
    return ordered


def read_records(root: Section, config: Path, book: Book) -> dict[str, tuple[str, ...]]:
    """The records of `train` and `validation` as the file names them; notes say what they are here."""
    records: dict[str, tuple[str, ...]] = {}
    for part, name in _READERS.items():
        paths: list[str] = []
        for reader in root.sections(name):
            inner = reader.section("tf_record_input_reader")
            found = inner.texts("input_path") if inner is not None else None
            if found is not None and found.leaves:
                paths += found.value
                here = [str(path) for named in found.value for path in files_named(named, config)]
                book.tell(f"records: {part}", ", ".join(here) or "not found here", found)
        records[part] = tuple(paths)
    return records
