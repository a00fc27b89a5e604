"""From annotated pictures to a folder of records: label map, CSVs, TFRecord parts and a manifest, whole or not at all.

TensorFlow is loaded only when records are written or read.
"""

# ruff: noqa: PLC0415

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vigie.data.atomic import scratch_folder, whole_folder
from vigie.data.dealer import Dealer
from vigie.data.divide import Division, divide, hash_with_lists, input_hash
from vigie.data.lists import find_lists
from vigie.data.manifest import FILE, ClippedBox, FileFacts, Manifest, PartFacts, file_facts, load_manifest, part_files
from vigie.data.parts import PARTS, Part, Sample
from vigie.data.quiet import quiet_tensorflow
from vigie.data.shards import records_key, write_records
from vigie.data.source import CheckedSet, checked_set, read_set, source_hash
from vigie.data.workers import Workers
from vigie.errors import BadData, BadSetting
from vigie.experiment import Split
from vigie.layouts import open_set

__all__ = ["PARTS", "Manifest", "Part", "Sample", "input_hash", "load_manifest", "part_files", "prepare", "read_part",
           "read_set", "source_hash"]  # fmt: skip

logger = logging.getLogger(__name__)
LABEL_MAP = "label_map.pbtxt"
_SPLIT = Split()


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
    found = open_set(voc)
    with Workers() as workers, Dealer() as dealer, scratch_folder(out) as spool:
        if find_lists(voc, split) is None:
            dealer.start()
        checked = checked_set(voc, classes, spool, found=found, progress=progress, workers=workers)
        division = divide(voc, checked, classes, split, before=out, workers=workers, deal=dealer.draw)
        parts = division.parts
        _check_parts(voc, division, checked, classes)
        key = records_key(checked.source_hash, parts, classes, pictures_per_shard)
        with whole_folder(out, marker=FILE, key=key) as folder:
            shards, files = write_records(
                folder, checked, parts, pictures_per_shard, progress=progress, workers=workers
            )
            (folder / LABEL_MAP).write_text(label_map(classes), encoding="utf-8")
            division.write_lists(folder)
            manifest = Manifest(
                version=2,
                source=voc.resolve().name,
                source_hash=hash_with_lists(checked.source_hash, division.lists),
                classes=tuple(classes),
                split=split,
                division=division.facts,
                parts={part: _facts(division, checked, part, classes, shards[part]) for part in PARTS},
                clipped=_clipped(division, checked),
                unannotated=len(checked.found.pictures) - len(checked),
                files=_files(folder, files),
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


def _check_asked(classes: Sequence[str], per_shard: int) -> None:
    strange = [name for name in classes if not name or name != name.strip() or not name.isprintable()]
    if not classes or strange or len(set(classes)) < len(classes):
        raise BadSetting(f"classes: expected one or more different names, found {list(classes)}")
    if per_shard < 1:
        raise BadSetting(f"pictures_per_shard: expected at least 1, found {per_shard}")


def _check_parts(root: Path, division: Division, checked: CheckedSet, classes: Sequence[str]) -> None:
    parts = division.parts
    whole = sum(len(rows) for rows in parts.values())
    groups = division.facts.groups
    alike = f" ({groups} groups of such as look alike)" if groups < whole else ""
    for part in PARTS:
        if not len(parts[part]):
            raise BadData(
                f"{root}: {whole} pictures{alike} leave the part {part} empty; add pictures or enlarge its share, "
                "or tell the parts by split.lists"
            )
    for part in PARTS:
        for name, boxes in zip(classes, checked.boxes[parts[part]].sum(axis=0), strict=True):
            if boxes:
                continue
            if part == "train":
                raise BadData(
                    f"{root}: no picture to train on shows the class {name!r}; add annotated pictures of it "
                    "or take it out of the classes"
                )
            logger.warning(
                "no picture of a part shows a class, its figures will be missing: part=%s class=%s", part, name
            )


def _files(folder: Path, known: Mapping[str, FileFacts]) -> dict[str, FileFacts]:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: known[name] if name in known else file_facts(path) for name, path in sorted(paths.items())}


def _facts(
    division: Division, checked: CheckedSet, part: Part, classes: Sequence[str], shards: Sequence[str]
) -> PartFacts:
    boxes = checked.boxes[division.parts[part]]
    return PartFacts(
        pictures=len(boxes),
        without_objects=int((~boxes.any(axis=1)).sum()),
        boxes=dict(zip(classes, boxes.sum(axis=0).tolist(), strict=True)),
        shards=tuple(shards),
    )


def _clipped(division: Division, checked: CheckedSet) -> tuple[ClippedBox, ...]:
    return tuple(
        ClippedBox(file=file, object=number, label=label, before=before, after=after)
        for part in PARTS
        for row in division.parts[part].tolist()
        for file, number, label, before, after in checked.cuts.get(row, ())
    )


def _log(out: Path, manifest: Manifest) -> None:
    counts = {part: facts.pictures for part, facts in manifest.parts.items()}
    dropped = sum(cut.after is None for cut in manifest.clipped)
    logger.info("records written: folder=%s pictures=%s clipped=%d dropped=%d unannotated=%d",
                out, counts, len(manifest.clipped), dropped, manifest.unannotated)  # fmt: skip
