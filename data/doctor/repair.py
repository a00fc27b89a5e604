"""A repaired copy of a set: what can be mended without asking is, what cannot be read is left out and named."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Copy the set at `root` to `out` in the layout images/ and annotations/, whole or not at all; `root` is only read.

    Boxes are turned round, clipped and made single, those without an area or a number dropped; labels that look
    alike become one; sizes and names of pictures are put right. Twin pictures stay: which of them is better
    annotated, a person sees.

    Raises:
        BadData: `out` lies in the set or holds something else, or nothing can be repaired.
    """
    if out.resolve().is_relative_to(root.resolve()) or root.resolve().is_relative_to(out.resolve()):
        raise BadData(f"{out}: the repaired copy and the set {root} lie in one another; choose another place")
    meant = meant_labels(data, classes)
    kept = _mendable(data)
    if not kept:
        raise BadData(f"{root}: no label file with a whole picture, nothing can be repaired")
    objects = 0
    with whole_folder(out, marker=MARKER) as folder:
        for name in ("images", "annotations"):
            (folder / name).mkdir()
        for pair in kept:
            objects += _copy(pair, meant, root, folder)
        left_out = tuple(sorted({pair.labels.name for pair in data.pairs} - {pair.labels.name for pair in kept}))
        facts = {"pictures": len(kept), "objects": objects, "left_out": left_out}
        (folder / MARKER).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return Repaired(len(kept), objects, left_out)


def _mendable(data: DataSet) -> list[Pair]:
    """Those with a whole picture of the size the boxes were drawn on, one label file a picture and a name."""
    owners = Counter(pair.picture.name for pair in data.pairs if pair.picture is not None)
    stems = Counter(pair.labels.stem for pair in data.pairs)
    return [
        pair
        for pair in data.pairs
        if pair.picture is not None
        and pair.picture.fingerprint is not None
        and pair.labels.readable
        and pair.labels.size in (None, pair.picture.size)
        and owners[pair.picture.name] == 1
        and stems[pair.labels.stem] == 1
    ]


def _copy(pair: Pair, meant: dict[str, str], root: Path, folder: Path) -> int:
    """How many objects were written."""
    assert pair.picture is not None
    assert pair.size is not None
    source = root / pair.picture.name
    objects = mended(pair.labels.objects, pair.size, meant)
    shutil.copyfile(source, folder / "images" / source.name)
    label_file = folder / "annotations" / f"{pair.labels.stem}.xml"
    voc.write_annotation(label_file, source.name, *pair.size, objects)
    return len(objects)


def mended(objects: Sequence[MarkedObject], size: tuple[int, int], meant: dict[str, str]) -> list[LabelledBox]:
    """What is left of the objects in a picture of that width and height; `meant` holds the labels to replace."""
    done: dict[LabelledBox, None] = {}
    for marked in objects:
        it = marked.corners
        ordered = Corners(min(it.xmin, it.xmax), min(it.ymin, it.ymax), max(it.xmin, it.xmax), max(it.ymin, it.ymax))
        box = clipped_box(MarkedObject(marked.number, marked.label, ordered), size)
        if box is not None:
            label = marked.label.strip()
            done[LabelledBox(meant.get(label, label), box)] = None
    return list(done)
