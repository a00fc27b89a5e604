"""What all runtimes of our own models share: picture to input, raw heads to detections."""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from vigie.anchors import Boxes
from vigie.batching import detect_in_batches
from vigie.decoding import Decoder, Scores
from vigie.domain import Detection
from vigie.errors import BadBundle, BadPicture
from vigie.pictures import Picture
from vigie.resizing import InputSize


class RawHeads(Protocol):
    """A model that runs."""

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        """B x height x width x 3 at the model's input size -> raw boxes B x N x 4, scores B x N x C."""


class RawHeadsDetector:
    """A `vigie.ports.Detector` over raw heads. `where` names the model in errors; `batch` pictures run at once."""

    def __init__(self, heads: RawHeads, decoder: Decoder, *, where: str, batch: int = 1) -> None:
        self._heads = heads
        self._decoder = decoder
        self._where = where
        self._batch = batch

    @property
    def labels(self) -> Sequence[str]:
        return self._decoder.labels

    @property
    def decoder(self) -> Decoder:
        """What makes detections of `outputs`."""
        return self._decoder

    @property
    def input_size(self) -> InputSize:
        return self._decoder.input_size

    def tried(self) -> Self:
        """Run once on a black picture: a model that does not fit is refused at loading, not at the first frame.

        Raises:
            BadBundle: as `detect`.
        """
        self.outputs(np.zeros((1, self._decoder.input_height, self._decoder.input_width, 3), np.uint8))
        return self

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        """One entry a picture (see `vigie.ports.Detector`).

        Raises:
            BadBundle: the model's outputs do not fit its anchors and labels, or are not finite.
        """
        return detect_in_batches(
            pictures,
            self._decoder.input_size,
            self._batch,
            lambda rgb_u8: zip(*self.outputs(rgb_u8), strict=True),
            lambda raw, picture: self._decoder.decode(*raw, width=picture.width, height=picture.height),
        )

    def outputs(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        """What the model itself gives, see `RawHeads`.

        Raises:
            BadBundle: as `detect`.
        """
        raw_boxes, scores = self._heads(rgb_u8)
        anchors, labels = len(self._decoder.anchors), len(self._decoder.labels)
        for name, found, columns in (("raw boxes", raw_boxes, 4), ("scores", scores, labels)):
            expected = (len(rgb_u8), anchors, columns)
            if found.shape != expected:
                raise BadBundle(
                    f"{self._where}: its {name} have the shape {found.shape}, its anchors and labels expect "
                    f"{expected}; export the model again"
                )
            if not np.isfinite(found).all():
                raise BadBundle(f"{self._where}: its {name} are not finite; the training broke down, train again")
        return raw_boxes, scores
