"""Which part each picture of a set goes to: by given lists, as in the records before, and drawn."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from vigie.data.groups import groups_of
from vigie.data.lists import PictureNames, find_lists, parts_before, parts_listed, read_lists, write_lists
from vigie.data.manifest import Division as DivisionFacts
from vigie.data.manifest import read_manifest
from vigie.data.parts import PARTS, Part
from vigie.data.source import CheckedSet, source_hash
from vigie.data.split import Deck, Numbers, draw, lot
from vigie.data.workers import Workers
from vigie.errors import BadData
from vigie.experiment import Split

logger = logging.getLogger(__name__)
_MOST_SHOWN = 10

Deal: TypeAlias = Callable[..., list[Part]]
"""`vigie.data.split.draw`, here or in another process."""


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """The rows of each part's pictures in the set, in an order drawn by the seed, and how it came to be."""

    parts: dict[Part, Numbers]
    names: dict[Part, list[str]]
    lists: Path | None
    facts: DivisionFacts

    def write_lists(self, records: Path) -> None:
        write_lists(records, self.names)


def input_hash(root: Path, split: Split) -> str:
    """`source_hash`, with the lists too where the split goes by lists: all that records are made of.

    Raises:
        BadData, BadSetting: it is no data set, or the lists are missing or cannot be read.
    """
    return hash_with_lists(source_hash(root), find_lists(root, split))


def hash_with_lists(hashed: str, where: Path | None) -> str:
    """The same where the `source_hash` of the set and the place of its lists are known."""
    if where is None:
        return hashed
    listed = "".join(f"{line.part}\0{line.name}\n" for line in read_lists(where))
    return hashlib.sha256(f"{hashed}\n{listed}".encode()).hexdigest()


def divide(
    root: Path,
    checked: CheckedSet,
    classes: Sequence[str],
    split: Split,
    *,
    before: Path,
    workers: Workers,
    deal: Deal = draw,
) -> Division:
    """Groups of look-alikes stay together, unless lists or the records `before` tear them, which is told in the log.

    Records at `before` count if they are of a set of this name and of the same split: their pictures keep their parts.
    Lists without one for the test leave it to be drawn out of those to train on, of which `split.test` is the share.

    Raises:
        BadSetting, BadData: what is wrong with the lists.
    """
    names = PictureNames(checked.found.pictures)
    deck = Deck(names.own(checked.pictures), classes, checked.boxes, groups_of(checked, workers))
    where = find_lists(root, split)
    old = _old_parts(root, before, split, names)
    if where:
        given = parts_listed(read_lists(where), names)
        parts = _drawn_from_lists(checked.pictures, deck, split, given, old, deal)
    else:
        parts = _drawn(checked.pictures, deck, split, old, deal)
    torn = _torn(parts, deck)
    if torn:
        logger.warning("pictures that look alike are in different parts, figures will flatter: groups=%d such as %s",
                       len(torn), "; ".join(torn[:_MOST_SHOWN]))  # fmt: skip
    if left_out := len(checked) - len(parts):
        logger.warning("annotated pictures are in no list and are left out: pictures=%d lists=%s", left_out, where)
    rows = {part: _in_drawn_order(part, parts, deck.names, split.seed) for part in PARTS}
    return Division(
        parts={part: np.array(rows[part], np.intp) for part in PARTS},
        names={part: [deck.names[row] for row in rows[part]] for part in PARTS},
        lists=where,
        facts=DivisionFacts(
            groups=len(np.unique(deck.groups)),
            torn_groups=len(torn),
            lists=_called(where, root, split),
            kept=sum(parts.get(row) == old.get(key, "") for row, key in enumerate(checked.pictures)) if old else 0,
            left_out=left_out,
        ),
    )


def _in_drawn_order(part: Part, parts: Mapping[int, Part], own: Sequence[str], seed: int) -> list[int]:
    # Another lot than the one they were dealt by: the first pictures of a part are a sample of it.
    lots = {row: lot(seed, f"{part}\0{own[row]}") for row, its in parts.items() if its == part}
    return sorted(lots, key=lots.__getitem__)


def _called(lists: Path | None, root: Path, split: Split) -> str | None:
    """Without the place of the set: the same input, the same bytes."""
    if lists is None:
        return None
    return lists.relative_to(root).as_posix() if split.lists == "auto" else split.lists


def _old_parts(root: Path, before: Path, split: Split, names: PictureNames) -> dict[str, Part]:
    if not before.is_dir():
        return {}
    try:
        manifest = read_manifest(before)
    except BadData as error:
        logger.info("no picture keeps a part: %s", error)
        return {}
    same = (manifest.source, manifest.split) == (root.resolve().name, split)
    return parts_before(before, names) if same else {}


def _drawn(pictures: Sequence[str], deck: Deck, split: Split, old: Mapping[str, Part], deal: Deal) -> dict[int, Part]:
    shares: dict[Part, float] = {
        "train": 1 - split.validation - split.test, "validation": split.validation, "test": split.test,
    }  # fmt: skip
    kept = {row: old[key] for row, key in enumerate(pictures) if key in old} if old else {}
    return dict(enumerate(deal(deck, shares, seed=split.seed, kept=kept)))


def _drawn_from_lists(
    pictures: Sequence[str],
    deck: Deck,
    split: Split,
    given: Mapping[str, Part],
    old: Mapping[str, Part],
    deal: Deal,
) -> dict[int, Part]:
    parts = {row: given[key] for row, key in enumerate(pictures) if key in given}
    if "test" in given.values():
        return parts
    pool = [row for row, part in parts.items() if part == "train"]
    shares: dict[Part, float] = {"train": 1 - split.test, "test": split.test}
    before = {place: old.get(pictures[row]) for place, row in enumerate(pool)}
    kept: dict[int, Part] = {place: part for place, part in before.items() if part in {"train", "test"} and part}
    dealt = deal(deck.of(pool), shares, seed=split.seed, kept=kept)
    return parts | dict(zip(pool, dealt, strict=True))


def _torn(parts: Mapping[int, Part], deck: Deck) -> list[str]:
    """The groups that lie in several parts, each with names and parts."""
    several = np.flatnonzero(np.bincount(deck.groups) > 1)
    members: dict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero(np.isin(deck.groups, several)).tolist():
        if row in parts:
            members[int(deck.groups[row])].append(row)
    return [
        ", ".join(f"{deck.names[row]} ({parts[row]})" for row in group)
        for group in members.values()
        if len({parts[row] for row in group}) > 1
    ]
