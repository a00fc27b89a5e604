"""The records of a set, shard by shard; those that an interrupted run finished are kept."""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from vigie.data.manifest import FileFacts, file_facts
from vigie.data.parts import PARTS, Part
from vigie.data.source import MANY, CheckedSet
from vigie.data.spool import Pieces, put_together
from vigie.data.workers import Workers
from vigie.progress import progress as progress_bar

COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
_FINISHED = "finished.jsonl"
_BYTES_VERSION = 1  # of what a picture becomes in a record: counted up when that changes
Rows = Mapping[Part, npt.NDArray[np.intp]]
"""The rows in the set of each part's pictures, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shard:
    part: Part
    name: str
    rows: npt.NDArray[np.intp]


def records_key(source_hash: str, parts: Rows, classes: Sequence[str], per_shard: int) -> str:
    """A digest of all that the bytes of the records depend on, for `whole_folder` to know its unfinished work again."""
    numbers = {part: (parts[part] + 1).tolist() for part in PARTS}
    inputs = json.dumps([_BYTES_VERSION, source_hash, list(classes), per_shard, numbers])
    return hashlib.sha256(inputs.encode()).hexdigest()


def write_records(
    folder: Path, checked: CheckedSet, parts: Rows, per_shard: int, *, progress: bool, workers: Workers
) -> tuple[dict[Part, list[str]], dict[str, FileFacts]]:
    """Returns the names of the shards, and the facts of the files: these and a table of each part's objects.

    Shards that an earlier run into this folder finished are kept if their bytes are still those; whatever else is
    there is removed. The bytes do not depend on the number of workers.

    Raises:
        Unavailable: a worker ended.
    """
    shards = _planned(parts, per_shard)
    facts = _take_finished(folder, {shard.name for shard in shards})
    left = [shard for shard in shards if shard.name not in facts]
    jobs = [*(_records(folder, checked, shard) for shard in left), *_tables(folder, checked, parts)]
    total = sum(len(rows) for rows in parts.values())
    with (
        progress_bar(total=total, description="Writing records", unit="picture", show=progress) as bar,
        (folder / _FINISHED).open("a", encoding="utf-8") as notes,
    ):
        bar.update(total - sum(len(shard.rows) for shard in left))
        written = workers.in_order(put_together, jobs, many=total >= MANY)
        for job, (size, sha256) in zip(jobs, written, strict=True):
            name = Path(job.path).name
            facts[name] = FileFacts(bytes=size, sha256=sha256)
            if not job.head:
                notes.write(json.dumps([name, size, sha256]) + "\n")
                notes.flush()
                bar.update(len(job))
    (folder / _FINISHED).unlink()
    return {part: [shard.name for shard in shards if shard.part == part] for part in PARTS}, facts


def _tables(folder: Path, checked: CheckedSet, parts: Rows) -> Iterator[Pieces]:
    """A row an object with the customary columns. Corners are VOC's own: from 1, the last pixel included, clipped."""
    head = f"{','.join(COLUMNS)}\n".encode()
    behind = checked.offset + checked.record
    for part in PARTS:
        yield _pieces(folder / f"{part}_labels.csv", head, checked, parts[part], behind, checked.rows)


def _records(folder: Path, checked: CheckedSet, shard: _Shard) -> Pieces:
    return _pieces(folder / shard.name, b"", checked, shard.rows, checked.offset, checked.record)


def _pieces(
    path: Path,
    head: bytes,
    checked: CheckedSet,
    rows: npt.NDArray[np.intp],
    offset: npt.NDArray[np.uint64],
    length: npt.NDArray[np.uint32],
) -> Pieces:
    return Pieces(str(path), head, list(checked.spools), checked.spool[rows], offset[rows], length[rows])


def _planned(parts: Rows, per_shard: int) -> list[_Shard]:
    shards = []
    for part, rows in parts.items():
        count = math.ceil(len(rows) / per_shard)
        shards += [
            _Shard(part, f"{part}-{number:05d}-of-{count:05d}.tfrecord", rows[number::count]) for number in range(count)
        ]
    return shards


def _take_finished(folder: Path, wanted: set[str]) -> dict[str, FileFacts]:
    """The shards that are noted as finished and hold what is noted; all else is removed."""
    noted = _noted(folder / _FINISHED)
    kept = {
        name: facts for name, facts in noted.items()
        if name in wanted and (folder / name).is_file() and file_facts(folder / name) == facts
    }  # fmt: skip
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in kept and path.name != _FINISHED:
            path.unlink()
    return kept


def _noted(path: Path) -> dict[str, FileFacts]:
    lines = path.read_bytes().splitlines() if path.is_file() else []
    noted: dict[str, FileFacts] = {}
    for line in lines:
        try:
            name, size, sha256 = json.loads(line)
            noted[name] = FileFacts(bytes=size, sha256=sha256)
        except (ValueError, TypeError, ValidationError):
            continue  # the run ended while it wrote this line: its shard is written again
    return noted
