"""Which pictures look alike: a perceptual hash that is near, then thumbnails that correlate."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vigie.data.looks import THUMBNAIL_BYTES, THUMBNAIL_SIDE

MAX_BITS_APART = 10  # of 64
# On 683 photographs eight twins correlate with 0.93 and more, and no two others of a similar hash with over 0.91.
MIN_CORRELATION = 0.92
MOST_TWINS = 10  # a video's frames all look alike: the likest ten are told of each, not all
_MOST_LOOKED_AT = 256  # of those whose hash is near, the nearest
_BLOCK = 16  # compared with all before them at a time: their numbers stay in the processor's cache


def alike(
    bits: npt.NDArray[np.uint64], looks: Callable[[npt.NDArray[np.intp]], npt.NDArray[np.uint8]], rows: range
) -> Iterator[tuple[int, int, int, float]]:
    """Which of these pictures look like which before them: earlier, later, bits apart and correlation.

    `bits` are the perceptual hashes of all, `looks` gives the thumbnails of some: few are asked for.
    """
    # The same memory for all blocks: to be given it anew takes as long as the comparison.
    differing, counted = np.empty(_BLOCK * rows.stop, np.uint64), np.empty(_BLOCK * rows.stop, np.uint8)
    for start in range(rows.start, rows.stop, _BLOCK):
        stop = min(start + _BLOCK, rows.stop)
        shape = stop - start, stop
        size = shape[0] * shape[1]
        which = np.bitwise_xor(bits[start:stop, None], bits[None, :stop], out=differing[:size].reshape(shape))
        apart = np.bitwise_count(which, out=counted[:size].reshape(shape))
        near = apart <= MAX_BITS_APART
        near[:, start:] &= np.tri(stop - start, k=-1, dtype=np.bool_)
        for row in np.flatnonzero(near.any(axis=1)).tolist():
            candidates = np.flatnonzero(near[row])
            if len(candidates) > _MOST_LOOKED_AT:
                candidates = candidates[np.argsort(apart[row, candidates], kind="stable")[:_MOST_LOOKED_AT]]
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


@dataclass(frozen=True, slots=True, eq=False)
class Compare:
    """Finds pairs of look-alikes in whichever process it is called; they are told by their rows in a whole set.

    `looks` is the file of the set's thumbnails, `rows` are those of the pictures that `bits` are of.
    """

    looks: Path
    bits: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.intp]

    def __call__(self, job: range) -> list[tuple[int, int]]:
        with self.looks.open("rb") as stream:
            found = list(alike(self.bits, lambda some: self._thumbnails(stream.fileno(), some), job))
        return [(int(self.rows[earlier]), int(self.rows[later])) for earlier, later, _, _ in found]

    def _thumbnails(self, held: int, some: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        # Not mapped to memory: around each page that is touched, many more would count as this process's.
        each = (os.pread(held, THUMBNAIL_BYTES, row * THUMBNAIL_BYTES) for row in self.rows[some].tolist())
        return np.frombuffer(b"".join(each), np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
