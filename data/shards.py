"""The records of a set, shard by shard."""

# ruff: noqa: PLC0415

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from vigie.data.parallel import in_order
from vigie.data.parts import PARTS, Part
from vigie.data.quiet import quiet_tensorflow
from vigie.data.source import Source
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar


def write_records(
    folder: Path, parts: dict[Part, list[Source]], classes: Sequence[str], per_shard: int, *, progress: bool
) -> dict[Part, list[str]]:
    """Returns the names of the shards; at most a few pictures are in memory at a time."""
    quiet_tensorflow()
    from vigie.data.tfrecords import example, write_shard

    total = sum(len(sources) for sources in parts.values())
    shards: dict[Part, list[str]] = {part: [] for part in PARTS}
    with progress_bar(total=total, description="Writing records", unit="picture", show=progress) as bar:
        for part, sources in parts.items():
            count = math.ceil(len(sources) / per_shard)
            for number in range(count):
                mine = sources[number::count]

                def examples(mine: list[Source] = mine) -> Iterator[bytes]:
                    for source, jpeg in zip(mine, in_order(_jpeg, mine), strict=True):
                        yield example(source, jpeg, classes)
                        bar.update()

                name = f"{part}-{number:05d}-of-{count:05d}.tfrecord"
                write_shard(folder / name, examples())
                shards[part].append(name)
    return shards


def _jpeg(source: Source) -> bytes:
    return Picture.from_file(source.path).jpeg()
