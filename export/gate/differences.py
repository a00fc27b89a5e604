"""How far the raw outputs of a file lie from those of the checkpoint."""

from dataclasses import dataclass

import numpy as np

from vigie.anchors import Boxes
from vigie.decoding import Decoder, Scores

SEEN_SCORE = 0.05
"""Boxes count that either of the two scores as high for a label: nobody ever sees the others."""


@dataclass(slots=True)
class Differences:
    """The largest ones so far. `boxes_px` is in pixels of the model's input, of `boxes` boxes; `score` is of all."""

    boxes_px: float = 0.0
    score: float = 0.0
    boxes: int = 0

    def add(self, decoder: Decoder, ours: tuple[Boxes, Scores], theirs: tuple[Boxes, Scores]) -> None:
        """Raw boxes N x 4 and scores N x C of one picture; `decoder` is that of both."""
        self.score = max(self.score, float(np.abs(ours[1] - theirs[1]).max()))
        seen = np.maximum(ours[1].max(axis=1), theirs[1].max(axis=1)) >= SEEN_SCORE
        if not seen.any():
            return
        apart = np.abs(decoder.boxes_px(ours[0])[seen] - decoder.boxes_px(theirs[0])[seen])
        self.boxes_px = max(self.boxes_px, float(apart.max()))
        self.boxes += int(np.count_nonzero(seen))
