"""What runtimes share whose models give boxes already: SSDs with post-processing, Darknet, a model server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from vigie.anchors import Boxes
from vigie.batching import detect_in_batches
from vigie.decoding import detections_of
from vigie.domain import Detection
from vigie.errors import BadBundle, BadPicture
from vigie.pictures import Picture
from vigie.resizing import InputSize


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a model found on one picture: `boxes` N x 4 (top, left, bottom, right in 0 to 1 of the model's input; they
    may reach outside), `scores` N in 0 to 1, `classes` N, the rows of the labels. Any order.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]


class DecodedHeads(Protocol):
    """A model that runs."""

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> Sequence[Candidates]:
        """B x height x width x 3 at the model's input size -> one entry a picture."""


class DecodedDetector:
    """A `vigie.ports.Detector` over boxes that are decoded already. `where` names the model in errors.

    `labels` has None for a class that stands for nothing (the background, a gap in the numbers): what is found of it is
    dropped. `score_threshold` holds for labels that `thresholds` does not name. Boxes of one label that overlap by more
    than `nms_iou` are one object; None where the model has seen to it. `batch` pictures run at once.
    """

    def __init__(
        self,
        heads: DecodedHeads,
        *,
        labels: Sequence[str | None],
        input_size: InputSize,
        where: str,
        batch: int = 1,
        score_threshold: float = 0.5,
        thresholds: Mapping[str, float] | None = None,
        nms_iou: float | None = None,
        max_detections: int = 100,
    ) -> None:
        self._heads = heads
        self._names = tuple(labels)
        self._size = input_size
        self._where = where
        self._batch = batch
        own = thresholds or {}
        # No score reaches an infinite one.
        limits = [np.inf if name is None else own.get(name, score_threshold) for name in labels]
        self._thresholds = np.array(limits, np.float32)
        self._lowest = float(self._thresholds.min(initial=score_threshold))
        self._nms_iou = nms_iou
        self._max_detections = max_detections

    @property
    def labels(self) -> Sequence[str]:
        return tuple(dict.fromkeys(name for name in self._names if name is not None))

    @property
    def input_size(self) -> InputSize:
        return self._size

    def tried(self) -> Self:
        """Run once on a black picture: a model that does not fit is refused at loading, not at the first frame.

        Raises:
            BadBundle: as `detect`.
        """
        black = Picture.from_pixels(np.zeros((self._size.height, self._size.width, 3), np.uint8))
        self.detect([black])
        return self

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        """One entry a picture (see `vigie.ports.Detector`).

        Raises:
            BadBundle: the model's outputs do not fit each other or its labels, or are not finite.
        """
        return detect_in_batches(pictures, self._size, self._batch, self._heads, self._decode)

    def _decode(self, found: Candidates, picture: Picture) -> list[Detection]:
        boxes, scores, classes = self._checked(found)
        sides = np.array([self._size.height, self._size.width] * 2, np.float32)
        return detections_of(
            self._size.placement(picture.width, picture.height).in_picture(boxes * sides),
            scores,
            classes,
            self._names,
            nms_iou=self._nms_iou,
            max_detections=self._max_detections,
        )

    def _checked(self, found: Candidates) -> tuple[Boxes, npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Those that reach their thresholds."""
        number = len(found.scores)
        if found.boxes.shape != (number, 4) or found.classes.shape != (number,):
            raise BadBundle(
                f"{self._where}: gives boxes of shape {found.boxes.shape}, {number} scores and classes of shape "
                f"{found.classes.shape}, which do not belong together"
            )
        if not (np.isfinite(found.scores).all() and np.isfinite(found.boxes).all()):
            raise BadBundle(f"{self._where}: its boxes or scores are not finite; the model is broken")
        over = np.flatnonzero(found.scores >= self._lowest)
        boxes, scores, classes = found.boxes[over], found.scores[over], found.classes[over]
        if over.size and not 0 <= classes.min() <= classes.max() < len(self._names):
            raise BadBundle(
                f"{self._where}: finds the classes {classes.min()} to {classes.max()}, and its labels count "
                f"{len(self._names)} from 0; give it the labels file that belongs to it"
            )
        own = scores >= self._thresholds[classes]
        return boxes[own], scores[own], classes[own]
