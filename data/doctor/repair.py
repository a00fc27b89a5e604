"""A repaired copy of a set: what can be mended without asking is, what cannot be read is left out and named."""

import json
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vigie import voc
from vigie.data.atomic import whole_folder
from vigie.data.doctor.label_files import Corners, MarkedObject
from vigie.data.doctor.labels import meant_labels
from vigie.data.doctor.reading import DataSet, Pair, clipped_box
from vigie.domain import LabelledBox
from vigie.errors import BadData

MARKER = "repaired.json"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What the copy holds. `left_out` are the label files whose picture or boxes nobody but a person can mend."""

    pictures: int
    objects: int
    left_out: tuple[str, ...]


def write_repaired(data: DataSet, root: Path, out: Path, classes: Sequence[str] | None) -> Repaired:
    """Copy the set at `root` to `out` as Pascal VOC in images/ and annotations/, whole or not at all.

    A set of another format becomes Pascal VOC by it; `root` is only read.
    Boxes are turned round, clipped and made single, those without an area or a number dropped; labels that look
    alike become one; sizes and names of pictures are put right. A picture of which no object is left is left out:
    what is on it would train as background. Twin pictures stay: which of them is better
    annotated, a person sees.

    Raises:
        BadData: `out` lies in the set or holds something else, or nothing can be repaired.
    """
    if out.resolve().is_relative_to(root.resolve()) or root.resolve().is_relative_to(out.resolve()):
        raise BadData(f"{out}: the repaired copy and the set {root} lie in one another; choose another place")
    meant = meant_labels(data, classes)
    kept = [pair for pair in _mendable(data) if not _emptied(pair, meant)]
    if not kept:
        raise BadData(f"{root}: no label file with a whole picture, nothing can be repaired")
    objects = 0
    with whole_folder(out, marker=MARKER) as folder:
        for name in ("images", "annotations"):
            (folder / name).mkdir()
        for pair, stem in zip(kept, _stems(kept), strict=True):
            objects += _copy(pair, stem, meant, root, folder)
        left_out = tuple(sorted({pair.labels.name for pair in data.pairs} - {pair.labels.name for pair in kept}))
        facts = {"pictures": len(kept), "objects": objects, "left_out": left_out}
        (folder / MARKER).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return Repaired(len(kept), objects, left_out)


def _mendable(data: DataSet) -> list[Pair]:
    """Those with a whole picture of the size the boxes were drawn on, one label file a picture."""
    owners = Counter(pair.picture.name for pair in data.pairs if pair.picture is not None)
    return [
        pair
        for pair in data.pairs
        if pair.picture is not None
        and pair.picture.fingerprint is not None
        and pair.labels.readable
        and (pair.labels.size in (None, pair.picture.size) or pair.picture.lies_at(pair.labels.size))
        and owners[pair.picture.name] == 1
    ]


def _emptied(pair: Pair, meant: dict[str, str]) -> bool:
    marked = pair.labels.objects or any(problem.number is not None for problem in pair.labels.problems)
    return bool(marked) and not mended(pair.labels.objects, pair.size or (0, 0), meant)


def _stems(pairs: Sequence[Pair]) -> list[str]:
    """A name for each: pictures of several folders come into one, where train/a.jpg becomes train_a.jpg."""
    often = Counter(pair.labels.stem for pair in pairs)
    taken: set[str] = set()
    stems = []
    for pair in pairs:
        assert pair.picture is not None
        whole = PurePosixPath(pair.picture.name).with_suffix("")
        stem = pair.labels.stem if often[pair.labels.stem] == 1 else "_".join(whole.parts)
        while stem in taken:
            stem += "_"
        taken.add(stem)
        stems.append(stem)
    return stems


def _copy(pair: Pair, stem: str, meant: dict[str, str], root: Path, folder: Path) -> int:
    """How many objects were written."""
    assert pair.picture is not None
    assert pair.size is not None
    source = root / pair.picture.name
    objects = mended(pair.labels.objects, pair.size, meant)
    picture = stem + source.suffix
    shutil.copyfile(source, folder / "images" / picture)
    voc.write_annotation(folder / "annotations" / f"{stem}.xml", picture, *pair.size, objects)
    return len(objects)


def mended(objects: Sequence[MarkedObject], size: tuple[int, int], meant: dict[str, str]) -> list[LabelledBox]:
    """What is left of the objects in a picture of that width and height; `meant` holds the labels to replace."""
    done: dict[LabelledBox, None] = {}
    for marked in objects:
        it = marked.corners
        ordered = Corners(
            min(it.xmin, it.xmax), min(it.ymin, it.ymax), max(it.xmin, it.xmax), max(it.ymin, it.ymax), it.first
        )
        box = clipped_box(MarkedObject(marked.number, marked.label, ordered), size)
        label = marked.label.strip()
        named = _writable(meant.get(label, label))
        # As VOC counts, a box of one pixel's width is a line.
        if box is not None and named and min(box.width, box.height) > 1:
            done[LabelledBox(named, box)] = None
    return list(done)


def _writable(label: str) -> str:
    """Without what XML cannot hold: a COCO file may name anything."""
    return "".join(letter for letter in label if unicodedata.category(letter) not in ("Cc", "Cs", "Cn")).strip()
