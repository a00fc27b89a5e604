"""What a set says of itself without a pixel being decoded: labels, boxes, shapes of pictures."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vigie.annotations import AnnotatedSet, clipped
from vigie.data.doctor.labels import appearance
from vigie.data.parallel import in_order
from vigie.errors import BadAnnotation, BadData, BadPicture, VigieError
from vigie.layouts import open_set
from vigie.pictures import Picture
from vigie.progress import progress as progress_bar

logger = logging.getLogger(__name__)

_FEWEST_PICTURES = 3  # one for each part
_MOST_SHOWN = 20


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SetFacts:
    """`boxes` are N x 4: left, top, right, bottom as shares of the picture's sides, clipped to it.

    `boxes_of` and `pictures_of` count per label, `aspects` holds width / height of each picture.
    """

    pictures: int
    boxes: Floats
    aspects: Floats
    boxes_of: Mapping[str, int]
    pictures_of: Mapping[str, int]

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of most boxes first; of as many, by name."""
        return tuple(sorted(self.boxes_of, key=lambda label: (-self.boxes_of[label], label)))


@dataclass(frozen=True, slots=True)
class _Look:
    """One annotated picture; `labels` are those of `boxes`."""

    size: tuple[int, int]
    labels: tuple[str, ...]
    boxes: tuple[tuple[float, float, float, float], ...]


def read_facts(root: Path, *, progress: bool = True) -> SetFacts:
    """Read all label files; of a picture at most the header, where no label file tells its size.

    Raises:
        BadData: no annotated pictures, too few, none with a box, labels that look alike, or several broken files.
        BadAnnotation, BadPicture: one broken file.
    """
    found = open_set(root)
    names = found.names
    if len(names) < _FEWEST_PICTURES:
        raise BadData(
            f"{root}: holds {len(names)} annotated pictures; to learn, to choose and to test takes at least "
            f"{_FEWEST_PICTURES}, and some hundreds to be of use"
        )
    looked = progress_bar(
        in_order(lambda name: _try(found, name), names), total=len(names), description="Reading labels",
        unit="picture", show=progress,
    )  # fmt: skip
    outcomes: list[_Look | VigieError] = list(looked)
    problems = [outcome for outcome in outcomes if isinstance(outcome, VigieError)]
    if problems:
        raise _together(root, problems)
    facts = _facts([outcome for outcome in outcomes if isinstance(outcome, _Look)])
    if not len(facts.boxes):
        raise BadData(f"{root}: none of its {len(names)} annotated pictures has a box; mark the objects first")
    _refuse_look_alikes(root, facts)
    return facts


def _try(found: AnnotatedSet, name: str) -> _Look | VigieError:
    try:
        return _look(found, name)
    except (BadAnnotation, BadPicture) as problem:
        return problem


def _look(found: AnnotatedSet, name: str) -> _Look:
    annotation = found.read(name)
    path = found.picture_of(annotation)
    width, height = annotation.size or _size_of(path)
    objects, _ = clipped(annotation.objects, width, height)
    return _Look(
        (width, height),
        tuple(found.label for found in objects),
        tuple(
            (it.box.left / width, it.box.top / height, it.box.right / width, it.box.bottom / height) for it in objects
        ),
    )


def _size_of(path: Path) -> tuple[int, int]:
    picture = Picture.from_file(path)
    return picture.width, picture.height


def _facts(looks: Sequence[_Look]) -> SetFacts:
    boxes_of = Counter(label for look in looks for label in look.labels)
    pictures_of = Counter(label for look in looks for label in set(look.labels))
    return SetFacts(
        pictures=len(looks),
        boxes=np.array([box for look in looks for box in look.boxes], np.float64).reshape(-1, 4),
        aspects=np.array([look.size[0] / look.size[1] for look in looks], np.float64),
        boxes_of=dict(boxes_of),
        pictures_of=dict(pictures_of),
    )


def _refuse_look_alikes(root: Path, facts: SetFacts) -> None:
    """One class written in two ways would be learnt as two that fight for each object."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in facts.labels:
        alike[appearance(label)].append(label)
    pairs = [
        " and ".join(f"{label!r} ({facts.boxes_of[label]} boxes)" for label in labels)
        for labels in alike.values()
        # Single characters are meant: "0" and "O" on a number plate.
        if len(labels) > 1 and max(map(len, labels)) > 1
    ]
    if pairs:
        raise BadData(
            f"{root}: these labels look like one class written in several ways: {'; '.join(pairs)}. "
            f"`vigie data check` lists each place and its --fix writes a copy where they agree. "
            f"If they are meant to differ, name your classes in an experiment and give it with EXPERIMENT="
        )


def _together(root: Path, problems: Sequence[VigieError]) -> VigieError:
    if len(problems) == 1:
        return problems[0]
    lines = [str(problem) for problem in problems[:_MOST_SHOWN]]
    if len(problems) > _MOST_SHOWN:
        lines.append(f"and {len(problems) - _MOST_SHOWN} more")
    lines.append("`vigie data check` tells the repair of each")
    return BadData(f"{root}: {len(problems)} pictures cannot be used as they stand:\n  " + "\n  ".join(lines))
