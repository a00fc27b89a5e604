"""Which part each picture of a set goes to: by given lists, as in the records before, and drawn."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vigie.data.doctor.picture_files import PictureFile
from vigie.data.groups import groups_of_looks
from vigie.data.lists import PictureNames, find_lists, parts_before, parts_listed, read_lists, write_lists
from vigie.data.manifest import Division as DivisionFacts
from vigie.data.manifest import read_manifest
from vigie.data.parts import PARTS, Part
from vigie.data.source import Source, source_hash
from vigie.data.split import Entry, draw, lot
from vigie.errors import BadData
from vigie.experiment import Split
from vigie.layouts import open_set

logger = logging.getLogger(__name__)
_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Division:
    """The pictures of each part, in an order drawn by the seed, and how it came to be."""

    parts: dict[Part, list[Source]]
    names: dict[Part, list[str]]
    facts: DivisionFacts

    def write_lists(self, records: Path) -> None:
        write_lists(records, self.names)


def input_hash(root: Path, split: Split) -> str:
    """`source_hash`, with the lists too where the split goes by lists: all that records are made of.

    Raises:
        BadData, BadSetting: it is no data set, or the lists are missing or cannot be read.
    """
    return hash_with_lists(source_hash(root), root, split)


def hash_with_lists(hashed: str, root: Path, split: Split) -> str:
    """The same where the `source_hash` of the set is known."""
    where = find_lists(root, split)
    if where is None:
        return hashed
    listed = "".join(f"{line.part}\0{line.name}\n" for line in read_lists(where))
    return hashlib.sha256(f"{hashed}\n{listed}".encode()).hexdigest()


def divide(root: Path, sources: Sequence[Source], split: Split, *, before: Path) -> Division:
    """Groups of look-alikes stay together, unless lists or the records `before` tear them, which is told in the log.

    Records at `before` count if they are of a set of this name and of the same split: their pictures keep their parts.
    Lists without one for the test leave it to be drawn out of those to train on, of which `split.test` is the share.

    Raises:
        BadSetting, BadData: what is wrong with the lists.
    """
    names = PictureNames(open_set(root).pictures)
    looks = [PictureFile(str(number), fingerprint=source.fingerprint) for number, source in enumerate(sources)]
    groups = groups_of_looks(looks)
    own = [names.own(source.path) for source in sources]
    entries = [
        Entry(name, tuple(labelled.label for labelled in source.objects), group)
        for name, source, group in zip(own, sources, groups, strict=True)
    ]
    where = find_lists(root, split)
    old = _old_parts(root, before, split, names)
    given = parts_listed(read_lists(where), names) if where else {}
    parts = _drawn_from_lists(sources, entries, split, given, old) if where else _drawn(sources, entries, split, old)
    torn = _torn(parts, own, groups)
    if torn:
        logger.warning("pictures that look alike are in different parts, figures will flatter: groups=%d such as %s",
                       len(torn), "; ".join(torn[:_MOST_SHOWN]))  # fmt: skip
    if left_out := len(sources) - len(parts):
        logger.warning("annotated pictures are in no list and are left out: pictures=%d lists=%s", left_out, where)
    indices = {part: _in_drawn_order(part, parts, own, split.seed) for part in PARTS}
    return Division(
        parts={part: [sources[index] for index in indices[part]] for part in PARTS},
        names={part: [own[index] for index in indices[part]] for part in PARTS},
        facts=DivisionFacts(
            groups=len(set(groups)),
            torn_groups=len(torn),
            lists=_called(where, root, split),
            kept=sum(parts.get(index) == old.get(source.path, "") for index, source in enumerate(sources)),
            left_out=left_out,
        ),
    )


def _in_drawn_order(part: Part, parts: Mapping[int, Part], own: Sequence[str], seed: int) -> list[int]:
    # Another lot than the one they were dealt by: the first pictures of a part are a sample of it.
    return sorted(
        (index for index, its in parts.items() if its == part), key=lambda index: lot(seed, f"{part}\0{own[index]}")
    )


def _called(lists: Path | None, root: Path, split: Split) -> str | None:
    """Without the place of the set: the same input, the same bytes."""
    if lists is None:
        return None
    return lists.relative_to(root).as_posix() if split.lists == "auto" else split.lists


def _old_parts(root: Path, before: Path, split: Split, names: PictureNames) -> dict[Path, Part]:
    if not before.is_dir():
        return {}
    try:
        manifest = read_manifest(before)
    except BadData as error:
        logger.info("no picture keeps a part: %s", error)
        return {}
    same = (manifest.source, manifest.split) == (root.resolve().name, split)
    return parts_before(before, names) if same else {}


def _drawn(
    sources: Sequence[Source], entries: Sequence[Entry], split: Split, old: Mapping[Path, Part]
) -> dict[int, Part]:
    shares: dict[Part, float] = {
        "train": 1 - split.validation - split.test, "validation": split.validation, "test": split.test,
    }  # fmt: skip
    kept = {index: old[source.path] for index, source in enumerate(sources) if source.path in old}
    return dict(enumerate(draw(entries, shares, seed=split.seed, kept=kept)))


def _drawn_from_lists(
    sources: Sequence[Source],
    entries: Sequence[Entry],
    split: Split,
    given: Mapping[Path, Part],
    old: Mapping[Path, Part],
) -> dict[int, Part]:
    parts = {index: given[source.path] for index, source in enumerate(sources) if source.path in given}
    if "test" in given.values():
        return parts
    pool = [index for index, part in parts.items() if part == "train"]
    shares: dict[Part, float] = {"train": 1 - split.test, "test": split.test}
    before = {place: old.get(sources[index].path) for place, index in enumerate(pool)}
    kept: dict[int, Part] = {place: part for place, part in before.items() if part in {"train", "test"} and part}
    dealt = draw([entries[index] for index in pool], shares, seed=split.seed, kept=kept)
    return parts | dict(zip(pool, dealt, strict=True))


def _torn(parts: Mapping[int, Part], own: Sequence[str], groups: Sequence[int]) -> list[str]:
    """The groups that lie in several parts, each with names and parts."""
    members: dict[int, list[int]] = defaultdict(list)
    for index in parts:
        members[groups[index]].append(index)
    return [
        ", ".join(f"{own[index]} ({parts[index]})" for index in group)
        for group in members.values()
        if len({parts[index] for index in group}) > 1
    ]
