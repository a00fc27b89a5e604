"""Labels: is each class written in one way, known to the experiment, and seen often enough?"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from vigie.data.doctor.findings import WHOLE_SET, Finding, finding
from vigie.data.doctor.reading import DataSet

FEW_BOXES = 20
# Letters that look like Latin ones once case is folded: Cyrillic, Greek, and what is taken for o and l.
_CYRILLIC = "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d"
_GREEK = "\u03b1\u03bf\u03c1\u03bd\u03b9\u03ba\u03c4\u03c5\u03c7\u03b5"
_LOOKS_LIKE = str.maketrans(f"{_CYRILLIC}{_GREEK}0|1", "aeopcyxijshdqwaopviktuxeoll")
_JOINTS = "_- \u2010\u2011\u2013"


def check_labels(data: DataSet, classes: Sequence[str] | None) -> list[Finding]:
    """`classes` are the experiment's, None where it is not known."""
    wanted = _counts(data, classes)
    odd = _odd_ones(wanted, classes)
    findings: list[Finding] = []
    for pair in data.pairs:
        for marked in pair.labels.objects:
            label = marked.label.strip()
            if label != marked.label:
                found = f"the label {marked.label!r:.60} has space around it"
                findings.append(finding("label-space", pair.labels.name, found, number=marked.number))
            if label in odd:
                boxes = f"{wanted[label]} and {wanted[odd[label]]} boxes"
                found = f"the label {label!r:.60} looks like {odd[label]!r:.60} ({boxes})"
                findings.append(finding("label-look-alike", pair.labels.name, found, number=marked.number))
            elif classes is not None and label not in classes:
                found = f"the label {label!r:.60} is none of the classes {', '.join(classes)}"
                findings.append(finding("label-unknown", pair.labels.name, found, number=marked.number))
    return findings + _how_often(wanted, classes)


def meant_labels(data: DataSet, classes: Sequence[str] | None) -> dict[str, str]:
    """Label -> the one that it is taken for, of those that `check_labels` finds to look alike."""
    return _odd_ones(_counts(data, classes), classes)


def _counts(data: DataSet, classes: Sequence[str] | None) -> dict[str, int]:
    """Boxes of each label without space around it, zeros of the classes too."""
    counts = Counter(marked.label.strip() for pair in data.pairs for marked in pair.labels.objects)
    return dict.fromkeys(classes or (), 0) | counts


def _odd_ones(counts: dict[str, int], classes: Sequence[str] | None) -> dict[str, str]:
    """Label -> the one it is probably meant to be: of the classes, else the most frequent of those that look alike."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        alike[appearance(label)].append(label)
    odd: dict[str, str] = {}
    for labels in alike.values():
        meant = max(labels, key=lambda label: (label in (classes or ()), counts[label]))
        odd |= {label: meant for label in labels if label != meant and label not in (classes or ())}
    return odd


def appearance(label: str) -> str:
    """The same for labels that a person takes for one: case, spaces, hyphens and look-alikes gone."""
    plain = unicodedata.normalize("NFKC", label).casefold()
    visible = (letter for letter in plain if letter not in _JOINTS and unicodedata.category(letter)[0] not in "ZC")
    return "".join(visible).translate(_LOOKS_LIKE)


def _how_often(counts: dict[str, int], classes: Sequence[str] | None) -> list[Finding]:
    findings = []
    for label, count in counts.items():
        if count == 0:
            findings.append(finding("class-absent", WHOLE_SET, f"no box of the class {label!r}"))
        elif count < FEW_BOXES and (classes is None or label in classes):
            findings.append(
                finding("class-rare", WHOLE_SET, f"{count} boxes of the class {label!r:.60}, under {FEW_BOXES}")
            )
    return findings
