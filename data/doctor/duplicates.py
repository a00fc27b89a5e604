"""Pictures that stand in the set twice: the same bytes, or the same look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vigie.data.doctor.agreement import check_agreement
from vigie.data.doctor.findings import Finding, finding
from vigie.data.doctor.picture_files import Fingerprint, PictureFile
from vigie.data.doctor.reading import DataSet

MAX_BITS_APART = 10  # of 64
# On 683 photographs eight twins correlate with 0.93 and more, and no two others of a similar hash with over 0.91.
MIN_CORRELATION = 0.92
MOST_TWINS = 10  # a video's frames all look alike: the likest ten are told of each, not all
_BLOCK = 256


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
    twins += [Twins(names[i], names[j], False, bits, like) for i, j, bits, like in _alike(fingerprints)]
    return twins


def _alike(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, int, float]]:
    """Earlier, later, bits apart, correlation. All pairs are compared, a block of rows at a time."""
    if not fingerprints:
        return
    hashes = np.array([fingerprint.bits for fingerprint in fingerprints], np.uint64)
    looks = _normalised(np.stack([fingerprint.thumbnail for fingerprint in fingerprints]))
    for start in range(0, len(hashes), _BLOCK):
        stop = min(start + _BLOCK, len(hashes))
        apart = np.bitwise_count(hashes[start:stop, None] ^ hashes[None, :stop])
        near = np.tril(apart <= MAX_BITS_APART, k=start - 1)
        for row in np.flatnonzero(near.any(axis=1)):
            candidates = np.flatnonzero(near[row])
            correlations = looks[candidates] @ looks[start + row]
            likest = [place for place in np.argsort(-correlations, kind="stable")[:MOST_TWINS]
                      if correlations[place] >= MIN_CORRELATION]  # fmt: skip
            for place in likest:
                earlier = int(candidates[place])
                yield earlier, int(start + row), int(apart[row, earlier]), float(correlations[place])


def _normalised(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """N x pixels, mean 0 and length 1, so that a product is a correlation; a picture of one colour stays 0."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    flat /= np.maximum(lengths, 1.0)  # in place: at 20,000 pictures a copy has 80 MB
    return np.asarray(flat, np.float32)
