"""The records of a set, shard by shard; those that an interrupted run finished are kept."""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from vigie.data import tfrecords
from vigie.data.manifest import FileFacts, file_facts
from vigie.data.parts import PARTS, Part
from vigie.data.source import MANY, PackedSource, Source, packed, unpacked
from vigie.data.workers import Workers
from vigie.errors import BadData
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar

_FINISHED = "finished.jsonl"
_BYTES_VERSION = 1  # of what a source becomes in a record: counted up when that changes


@dataclass(frozen=True, slots=True)
class _Shard:
    part: Part
    name: str
    sources: Sequence[Source]


def records_key(source_hash: str, parts: dict[Part, list[Source]], classes: Sequence[str], per_shard: int) -> str:
    """A digest of all that the bytes of the records depend on, for `whole_folder` to know its unfinished work again."""
    numbers = {part: [source.source_id for source in parts[part]] for part in PARTS}
    inputs = json.dumps([_BYTES_VERSION, source_hash, list(classes), per_shard, numbers])
    return hashlib.sha256(inputs.encode()).hexdigest()


def write_records(
    folder: Path,
    parts: dict[Part, list[Source]],
    classes: Sequence[str],
    per_shard: int,
    *,
    progress: bool,
    workers: Workers | None = None,
) -> dict[Part, list[str]]:
    """Returns the names of the shards. A worker holds one picture at a time.

    Shards that an earlier run into this folder finished are kept if their bytes are still those; whatever else is
    there is removed. The bytes do not depend on the number of workers.

    Raises:
        BadData: a picture has changed since it was checked.
        Unavailable: a worker ended.
    """
    shards = _planned(parts, per_shard)
    finished = _take_finished(folder, {shard.name for shard in shards})
    jobs = [_job(folder, shard) for shard in shards if shard.name not in finished]
    total = sum(len(sources) for sources in parts.values())
    with (
        nullcontext(workers) if workers else Workers() as these,
        progress_bar(total=total, description="Writing records", unit="picture", show=progress) as bar,
        (folder / _FINISHED).open("a", encoding="utf-8") as notes,
    ):
        bar.update(sum(len(shard.sources) for shard in shards if shard.name in finished))
        for job, facts in zip(jobs, these.in_order(_Write(tuple(classes)), jobs, many=total >= MANY), strict=True):
            notes.write(json.dumps([Path(job.path).name, facts.bytes, facts.sha256]) + "\n")
            notes.flush()
            bar.update(len(job.sources))
    (folder / _FINISHED).unlink()
    return {part: [shard.name for shard in shards if shard.part == part] for part in PARTS}


def _planned(parts: dict[Part, list[Source]], per_shard: int) -> list[_Shard]:
    shards = []
    for part, sources in parts.items():
        count = math.ceil(len(sources) / per_shard)
        shards += [
            _Shard(part, f"{part}-{number:05d}-of-{count:05d}.tfrecord", sources[number::count])
            for number in range(count)
        ]
    return shards


def _take_finished(folder: Path, wanted: set[str]) -> set[str]:
    """The shards that are noted as finished and hold what is noted; all else is removed."""
    noted = _noted(folder / _FINISHED)
    kept = {
        name for name, facts in noted.items()
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


@dataclass(frozen=True, slots=True)
class _Job:
    path: str
    sources: list[PackedSource]


def _job(folder: Path, shard: _Shard) -> _Job:
    return _Job(str(folder / shard.name), [packed(source) for source in shard.sources])


@dataclass(frozen=True, slots=True)
class _Write:
    classes: tuple[str, ...]

    def __call__(self, job: _Job) -> FileFacts:
        return tfrecords.write_shard(Path(job.path), self._examples(job))

    def _examples(self, job: _Job) -> Iterator[bytes]:
        for values in job.sources:
            source = unpacked(values)
            yield tfrecords.example(source, _jpeg(source), self.classes)


def _jpeg(source: Source) -> bytes:
    try:
        encoded = source.path.read_bytes()
    except OSError as error:
        raise BadData(f"{source.path}: cannot be read any more: {error.strerror}") from error
    if hashlib.sha256(encoded).hexdigest() != source.fingerprint.sha256:
        raise BadData(f"{source.path}: has changed since it was checked; run it again when nobody writes to the set")
    return Picture.from_bytes(encoded).jpeg()
