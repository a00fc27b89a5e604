"""Pictures that stand in the set twice: the same bytes, or the same look."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vigie.data.doctor.agreement import check_agreement
from vigie.data.doctor.findings import Finding, finding
from vigie.data.doctor.picture_files import PictureFile
from vigie.data.doctor.reading import DataSet
from vigie.data.looks import Fingerprint

MAX_BITS_APART = 10  # of 64
# On 683 photographs eight twins correlate with 0.93 and more, and no two others of a similar hash with over 0.91.
MIN_CORRELATION = 0.92
MOST_TWINS = 10  # a video's frames all look alike: the likest ten are told of each, not all
_BLOCK = 16  # compared with all before them at a time: their numbers stay in the processor's cache


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


def alike(
    bits: npt.NDArray[np.uint64], looks: Callable[[npt.NDArray[np.intp]], npt.NDArray[np.uint8]], rows: range
) -> Iterator[tuple[int, int, int, float]]:
    """Which of these pictures look like which before them: earlier, later, bits apart and correlation.

    `bits` are the perceptual hashes of all, `looks` gives the thumbnails of some: few are asked for.
    """
    for start in range(rows.start, rows.stop, _BLOCK):
        stop = min(start + _BLOCK, rows.stop)
        apart = np.bitwise_count(bits[start:stop, None] ^ bits[None, :stop])
        near = apart <= MAX_BITS_APART
        near[:, start:] &= np.tri(stop - start, k=-1, dtype=np.bool_)
        for row in np.flatnonzero(near.any(axis=1)).tolist():
            candidates = np.flatnonzero(near[row])
            correlations = _normalised(looks(candidates)) @ _normalised(looks(np.array([start + row])))[0]
            for place in np.argsort(-correlations, kind="stable")[:MOST_TWINS]:
                if correlations[place] >= MIN_CORRELATION:
                    earlier = int(candidates[place])
                    yield earlier, start + row, int(apart[row, earlier]), float(correlations[place])


def _normalised(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """N x pixels, mean 0 and length 1, so that a product is a correlation; a picture of one colour stays 0."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)
    return np.asarray(flat, np.float32)
