"""Pictures that stand in the set twice: the same bytes, or the same look."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vigie.data.doctor.agreement import check_agreement
from vigie.data.doctor.findings import Finding, finding
from vigie.data.doctor.picture_files import PictureFile
from vigie.data.doctor.reading import DataSet
from vigie.data.likeness import alike
from vigie.data.looks import Fingerprint


@dataclass(frozen=True, slots=True)
class Twins:
    """Two pictures of one look. `bits_apart` and `correlation` are 0 and 1 where the bytes are the same."""

    first: str
    second: str
    identical: bool
    bits_apart: int
    correlation: float


def check_duplicates(data: DataSet) -> list[Finding]:
    twins = twins_of(data.pictures)
    findings = []
    for pair in twins:
        if pair.identical:
            found = f"its bytes are those of {pair.first}"
        else:
            found = f"looks like {pair.first}: {pair.bits_apart} of 64 bits apart, correlation {pair.correlation:.3f}"
        code = "picture-identical" if pair.identical else "picture-near-duplicate"
        findings.append(finding(code, pair.second, found, other=pair.first))
    return findings + check_agreement(data, [(pair.first, pair.second) for pair in twins])


def twins_of(pictures: Sequence[PictureFile]) -> list[Twins]:
    """Each copy with the first of its bytes, and the near-duplicates among the different ones."""
    first_of: dict[str, str] = {}
    names: list[str] = []
    fingerprints: list[Fingerprint] = []
    twins: list[Twins] = []
    for picture in pictures:
        if picture.fingerprint is None:
            continue
        first = first_of.setdefault(picture.fingerprint.sha256, picture.name)
        if first != picture.name:
            twins.append(Twins(first, picture.name, True, 0, 1.0))
        else:
            names.append(picture.name)
            fingerprints.append(picture.fingerprint)
    if fingerprints:
        bits = np.array([fingerprint.bits for fingerprint in fingerprints], np.uint64)
        looks = np.stack([fingerprint.thumbnail for fingerprint in fingerprints])
        found = alike(bits, looks.__getitem__, range(len(bits)))
        twins += [Twins(names[i], names[j], False, apart, likeness) for i, j, apart, likeness in found]
    return twins
