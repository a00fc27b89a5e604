"""What the doctor says: findings by stable codes, and the report that holds them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

Severity: TypeAlias = Literal["error", "warning"]
WHOLE_SET = "."


class Kind(NamedTuple):
    """What all findings of a code have in common."""

    severity: Severity
    effect: str
    repair: str


_STOPS = "preparing the set stops here"
_CLIPPED = "the part outside is cut off; tools that do not cut train on a wrong target"
_UNLEARNT = "nothing of it can be learnt and preparing the set stops here"

KINDS: Mapping[str, Kind] = {
    # annotations
    "annotation-unreadable": Kind("error", _STOPS, "make the file readable or remove it"),
    "annotation-empty": Kind("error", _STOPS, "annotate the picture again or remove the file"),
    "annotation-corrupt": Kind("error", _STOPS, "get a whole copy of the file or annotate the picture again"),
    "annotation-too-large": Kind("error", _STOPS, "remove the file, it is no label file"),
    "annotation-entities": Kind(
        "error", "it was not expanded, and " + _STOPS, "remove the document type and the entities from the file"
    ),
    "set-unreadable": Kind("error", _STOPS, "bring the folder into one of the known layouts"),
    "classes-unreadable": Kind(
        "error", "nobody knows what the numbers of the classes mean, and " + _STOPS,
        "give the names of the classes, counted from 0, one text each, each once",
    ),
    "annotation-not-coco": Kind(
        "error", _STOPS, "give a COCO file with the lists images, annotations and categories, or remove it"
    ),
    "entry-incomplete": Kind("error", _STOPS, "fill the entry in or remove it"),
    "entry-twice": Kind("error", "one of the two hides the other, and " + _STOPS, "keep one of the two"),
    "annotation-id-twice": Kind(
        "warning", "tools that look annotations up by their id lose one of the two", "give each an id of its own"
    ),
    "annotation-astray": Kind("error", _STOPS, "add the image to the file or remove the annotation"),
    "class-id-unknown": Kind("error", _STOPS, "correct the number or add the class"),
    "line-incomplete": Kind(
        "error", _STOPS, "give a line as `class x y width height`, of a polygon the box around it"
    ),
    "shares-outside": Kind(
        "error", _STOPS,
        "give the centre and the size as shares from 0 to 1: divide pixels by the picture's width and height",
    ),
    "annotation-not-voc": Kind("error", _STOPS, "give a Pascal VOC file, with <annotation> around all, or remove it"),
    "object-incomplete": Kind("error", _STOPS, "fill it in or remove the object"),
    "size-missing": Kind(
        "warning", "nobody notices when the picture is replaced by one of another size", "add the picture's <size>"
    ),
    "size-unreadable": Kind("error", _STOPS, "give the picture's width and height in whole pixels"),
    "path-traversal": Kind(
        "error", "nothing outside the set is opened, and " + _STOPS, "give the bare name of a picture of the set"
    ),
    "picture-missing": Kind("error", _STOPS, "add the picture or remove the label file"),
    "picture-ambiguous": Kind(
        "error", "the boxes may be drawn on another picture", "name one of them in <filename>"
    ),
    "picture-shared": Kind(
        "error", "the picture is trained with half of its boxes at a time", "keep one of the label files"
    ),
    # pictures
    "picture-unreadable": Kind("error", _STOPS, "make the file readable or remove it"),
    "picture-empty": Kind("error", _STOPS, "get a whole copy of the picture or remove it with its label file"),
    "picture-corrupt": Kind("error", _STOPS, "get a whole copy of the picture or remove it with its label file"),
    "picture-truncated": Kind(
        "error", "the missing part trains as grey; " + _STOPS, "get a whole copy of the picture"
    ),
    "picture-too-large": Kind("error", "it was not decoded, and " + _STOPS, "make the picture and its boxes smaller"),
    "picture-unannotated": Kind("warning", "the picture is left out", "annotate it or remove it"),
    "size-differs": Kind(
        "error", "every box lies in the wrong place", "correct the size and the boxes, or replace the picture"
    ),
    "size-before-turning": Kind(
        "warning",
        "the boxes were drawn before the picture was turned by its EXIF orientation; a tool that turns "
        "the picture alone trains on wrong places",
        "save the picture upright and draw the boxes on that",
    ),
    # boxes
    "box-inverted": Kind("error", _UNLEARNT + " or turns the loss into NaN", "swap the corners"),
    "box-no-area": Kind("error", "no anchor matches it; the loss may become NaN", "draw it again or remove it"),
    "box-all-outside": Kind("error", "the object is dropped", "draw it again or remove it"),
    "box-outside": Kind("warning", _CLIPPED, "clip the box to the picture"),
    "box-outside-by-one": Kind("warning", _CLIPPED, "clip the box to the picture: VOC counts pixels from 1 to width"),
    "box-covers-all": Kind(
        "warning", "the detector learns to answer with the whole picture", "draw it round the object or remove it"
    ),
    "box-duplicate": Kind(
        "warning", "it counts twice in the loss, and once as missed in the evaluation", "remove one of the two"
    ),
    "box-two-classes": Kind(
        "warning", "one object trains as both classes, and one of them always counts as missed", "keep the true class"
    ),
    # labels
    "label-look-alike": Kind(
        "error", "one class is learnt as two, each from a part of its boxes", "write the label in one way"
    ),
    "label-space": Kind(
        "warning", "Vigie strips the space; other tools make a class of its own of it", "remove the space around it"
    ),
    "label-unknown": Kind("error", _STOPS, "correct the label or add the class to the experiment"),
    "class-absent": Kind(
        "error", "the class is never found", "annotate it or take it out of the experiment"
    ),
    "class-rare": Kind(
        "warning", "the class is hardly learnt, and its figures are chance", "annotate more pictures of it"
    ),
    "picture-without-objects": Kind(
        "warning", "it trains as background: whatever is on it and not marked is unlearnt",
        "make sure that nothing on it is to be found",
    ),
    "objects-too-many": Kind(
        "warning", "the objects above the limit are left out of the loss", "cut the picture into parts"
    ),
    # duplicates
    "picture-identical": Kind(
        "warning", "split apart, the test measures what was learnt by heart", "keep one of them"
    ),
    "picture-near-duplicate": Kind(
        "warning", "split apart, the test measures what was learnt by heart", "keep one, or both in one part"
    ),
    "annotations-disagree": Kind(
        "warning", "the detector cannot please both", "look at both and correct the boxes or classes"
    ),
    "annotations-ceiling": Kind(
        "warning", "no detector can be measured above how well the annotators agree", "make the annotations alike"
    ),
    # training fit
    "anchors-miss": Kind("warning", "boxes that no anchor matches are hardly learnt", "use other anchors"),
    "boxes-tiny": Kind("warning", "the detector misses most of them", "train at a larger input size"),
    "box-tiny": Kind("warning", "too few pixels are left to learn it from", "train at a larger input size"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `file` is relative to the set, "." for the set as a whole; objects count from 1.

    Where one COCO file speaks of all pictures, `file` is `instances.json: picture NAME`, and `object` the id of the
    annotation; in a YOLO file it is the line.

    `other` is the second file, where two are at odds or alike.
    """

    code: str
    severity: Severity
    file: str
    object: int | None
    found: str
    effect: str
    repair: str
    other: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def counted(file: str) -> str:
    """What the numbers of a file's objects count."""
    if file.endswith(".json") or ".json: picture " in file:
        return "annotation"
    return "line" if file.endswith(".txt") else "object"


def finding(
    code: str, file: str, found: str, *, number: int | None = None, repair: str = "", other: str | None = None
) -> Finding:
    """A finding of a known code; `repair` is the code's own where nothing nearer is known."""
    kind = KINDS[code]
    place, said = _sayable(file), _sayable(found)
    return Finding(code, kind.severity, place, number, said, kind.effect, repair or kind.repair, other)


def _sayable(text: str) -> str:
    """JSON may name half a character, which no file and no terminal takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found in a set, errors first, each code together."""

    pictures: int
    annotations: int
    objects: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(found.severity == "error" for found in self.findings)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors

    def counts(self) -> dict[str, int]:
        """How often each code was found, the worst first."""
        return dict(Counter(found.code for found in self.findings))


def worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors before warnings, then by the order of `KINDS`, then by file and object."""
    place = {code: number for number, code in enumerate(KINDS)}
    return tuple(
        sorted(findings, key=lambda it: (it.severity != "error", place[it.code], it.file, it.object or 0, it.found))
    )
