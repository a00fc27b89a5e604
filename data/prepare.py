"""From annotated pictures to a folder of records: label map, CSVs, TFRecord parts and a manifest, whole or not at all.

TensorFlow is loaded only when records are written or read.
"""

# ruff: noqa: PLC0415

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from vigie.data.atomic import whole_folder
from vigie.data.divide import Division, divide, hash_with_lists, input_hash
from vigie.data.manifest import FILE, ClippedBox, FileFacts, Manifest, PartFacts, file_facts, load_manifest, part_files
from vigie.data.parts import PARTS, Part, Sample
from vigie.data.quiet import quiet_tensorflow
from vigie.data.shards import records_key, write_records
from vigie.data.source import Source, checked_set, read_set, source_hash
from vigie.domain import Box
from vigie.errors import BadData, BadSetting
from vigie.experiment import Split
from vigie.layouts import open_set
from vigie.voc import corners

__all__ = ["PARTS", "Manifest", "Part", "Sample", "input_hash", "load_manifest", "part_files", "prepare", "read_part",
           "read_set", "source_hash"]  # fmt: skip

logger = logging.getLogger(__name__)
LABEL_MAP = "label_map.pbtxt"
_SPLIT = Split()
COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")


def prepare(
    voc: Path,
    out: Path,
    *,
    classes: Sequence[str],
    split: Split = _SPLIT,
    pictures_per_shard: int = 256,
    progress: bool = True,
) -> Manifest:
    """Check, split and write; older records at `out` are replaced once the new ones are whole.

    `classes` is the order of the label map. The same pictures, classes and split give the same bytes in a new folder;
    where records of the same split are replaced, their pictures keep their parts.

    Raises:
        BadSetting: classes that make no sense, or lists that are not there.
        BadData, BadAnnotation, BadPicture: what is wrong with the set, up to 20 problems at once; or it is too small.
    """
    _check_asked(classes, pictures_per_shard)
    checked = checked_set(voc, classes, progress=progress)
    hashed, sources = checked.source_hash, checked.sources
    division = divide(voc, sources, split, before=out)
    parts = division.parts
    _check_parts(voc, division, classes)
    with whole_folder(out, marker=FILE, key=records_key(hashed, parts, classes, pictures_per_shard)) as folder:
        shards = write_records(folder, parts, classes, pictures_per_shard, progress=progress)
        (folder / LABEL_MAP).write_text(label_map(classes), encoding="utf-8")
        for part in PARTS:
            label_table(parts[part]).to_csv(folder / f"{part}_labels.csv", index=False)
        division.write_lists(folder)
        manifest = Manifest(
            version=2,
            source=voc.resolve().name,
            source_hash=hash_with_lists(hashed, voc, split),
            classes=tuple(classes),
            split=split,
            division=division.facts,
            parts={part: _facts(parts[part], classes, shards[part]) for part in PARTS},
            clipped=_clipped([source for part in PARTS for source in parts[part]]),
            unannotated=len(open_set(voc).pictures) - len(sources),
            files=_files(folder),
        )
        (folder / FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _log(out, manifest)
    return manifest


def read_part(records: Path, part: Part) -> Iterator[Sample]:
    """The samples of a part, boxes in pixels of the picture; see `vigie.data.tfrecords.read_part`."""
    quiet_tensorflow()
    from vigie.data import tfrecords

    return tfrecords.read_part(records, part)


def label_map(classes: Sequence[str]) -> str:
    """The text of a `label_map.pbtxt`: ids count from 1."""
    quoted = [name.replace("\\", "\\\\").replace("'", "\\'") for name in classes]
    return "".join(f"item {{\n  id: {number}\n  name: '{name}'\n}}\n" for number, name in enumerate(quoted, start=1))


def label_table(sources: Sequence[Source]) -> pd.DataFrame:
    """A row an object with the customary columns. Corners are VOC's own: from 1, the last pixel included, clipped."""
    rows = [
        (source.path.name, source.width, source.height, labelled.label, *corners(labelled.box))
        for source in sources
        for labelled in source.objects
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _check_asked(classes: Sequence[str], per_shard: int) -> None:
    strange = [name for name in classes if not name or name != name.strip() or not name.isprintable()]
    if not classes or strange or len(set(classes)) < len(classes):
        raise BadSetting(f"classes: expected one or more different names, found {list(classes)}")
    if per_shard < 1:
        raise BadSetting(f"pictures_per_shard: expected at least 1, found {per_shard}")


def _check_parts(root: Path, division: Division, classes: Sequence[str]) -> None:
    parts = division.parts
    whole = sum(len(sources) for sources in parts.values())
    groups = division.facts.groups
    alike = f" ({groups} groups of such as look alike)" if groups < whole else ""
    for part in PARTS:
        if not parts[part]:
            raise BadData(
                f"{root}: {whole} pictures{alike} leave the part {part} empty; add pictures or enlarge its share, "
                "or tell the parts by split.lists"
            )
    for part in PARTS:
        shown = {labelled.label for source in parts[part] for labelled in source.objects}
        for name in classes:
            if name in shown:
                continue
            if part == "train":
                raise BadData(
                    f"{root}: no picture to train on shows the class {name!r}; add annotated pictures of it "
                    "or take it out of the classes"
                )
            logger.warning(
                "no picture of a part shows a class, its figures will be missing: part=%s class=%s", part, name
            )


def _files(folder: Path) -> dict[str, FileFacts]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_facts(path) for path in paths}


def _facts(sources: Sequence[Source], classes: Sequence[str], shards: Sequence[str]) -> PartFacts:
    counts = Counter(labelled.label for source in sources for labelled in source.objects)
    return PartFacts(
        pictures=len(sources),
        without_objects=sum(not source.objects for source in sources),
        boxes={name: counts[name] for name in classes},
        shards=tuple(shards),
    )


def _clipped(sources: Sequence[Source]) -> tuple[ClippedBox, ...]:
    return tuple(
        ClippedBox(
            file=source.name,
            object=cut.number,
            label=cut.label,
            before=_four(cut.before),
            after=None if cut.after is None else _four(cut.after),
        )
        for source in sources
        for cut in source.cuts
    )


def _four(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


def _log(out: Path, manifest: Manifest) -> None:
    counts = {part: facts.pictures for part, facts in manifest.parts.items()}
    dropped = sum(cut.after is None for cut in manifest.clipped)
    logger.info("records written: folder=%s pictures=%s clipped=%d dropped=%d unannotated=%d",
                out, counts, len(manifest.clipped), dropped, manifest.unannotated)  # fmt: skip
