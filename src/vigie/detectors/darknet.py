"""Darknet's networks, `.cfg` with `.weights` beside it (YOLO v2 to v4 and their small relatives), in OpenCV.

As Darknet itself: RGB of 0 to 1, stretched to the size that [net] tells or letterboxed where it says so, each class
thinned out by itself. `vigie.darknet_cfg` tells what is read of the `.cfg`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vigie.darknet_cfg import DarknetCfg, labels_beside, read_cfg, weights_beside
from vigie.decoded_heads import Candidates, DecodedDetector
from vigie.errors import BadBundle, Unavailable
from vigie.ports import Detector
from vigie.resizing import InputSize

NMS_IOU = 0.45
"""What Darknet's own commands take, whatever the `.cfg` says."""

SCORE_THRESHOLD = 0.25
"""What they take: a score is that of the box times that of the class, so lower than an SSD's."""

_HEADER_BYTES = (16, 20)  # three numbers of 32 bits and the pictures seen, 32 bits until version 0.1, 64 since


@dataclass(frozen=True)
class Options:
    """`model` is the `.cfg`. `threads` are OpenCV's, of the whole process."""

    model: Path
    threads: int = 2
    score_threshold: float | None = None


def build(options: Options) -> Detector:
    """Load the network and run it once.

    Raises:
        BadBundle: one of the three files is missing or broken, or they do not belong together.
        Unavailable: this OpenCV reads no Darknet files.
    """
    cfg = read_cfg(options.model)
    labels = labels_beside(cfg)
    cv2.setNumThreads(options.threads)
    threshold = SCORE_THRESHOLD if options.score_threshold is None else options.score_threshold
    return DecodedDetector(
        _DarknetHeads(cfg, weights_beside(cfg), threshold),
        labels=labels,
        input_size=InputSize(cfg.width, cfg.height, "letterbox" if cfg.letterbox else "stretch"),
        where=str(cfg.path),
        score_threshold=threshold,
        nms_iou=NMS_IOU,
    ).tried()


class _DarknetHeads:
    """`lowest` is the score from which a box counts: of the thousands that a network gives most are nearly 0."""

    def __init__(self, cfg: DarknetCfg, weights: Path, lowest: float) -> None:
        self._classes = cfg.classes
        self._lowest = lowest
        self._where = str(cfg.path)
        self._net = _loaded(cfg, weights)
        self._outputs: Sequence[str] = self._net.getUnconnectedOutLayersNames()

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> Sequence[Candidates]:
        # One by one: OpenCV lays its memory out anew for every size of batch, and is no faster with several.
        return [self._candidates(picture) for picture in rgb_u8]

    def _candidates(self, picture: npt.NDArray[np.uint8]) -> Candidates:
        self._net.setInput(cv2.dnn.blobFromImage(picture, 1 / 255))
        try:
            rows = np.concatenate(self._net.forward(self._outputs))
        except cv2.error as error:
            raise BadBundle(f"{self._where}: OpenCV cannot run it: {_told(error)}") from error
        if rows.shape[-1] != 5 + self._classes:
            raise BadBundle(
                f"{self._where}: gives rows of {rows.shape[-1]} numbers; a box, its score and {self._classes} classes "
                f"are {5 + self._classes}"
            )
        if not np.isfinite(rows).all():
            raise BadBundle(f"{self._where}: its outputs are not finite; the .weights are broken or of another .cfg")
        # A column a class, each already multiplied by the score of the box.
        box, label = np.nonzero(rows[:, 5:] >= self._lowest)
        centre, half = rows[box, 1::-1], rows[box, 3:1:-1] / 2
        return Candidates(np.concatenate([centre - half, centre + half], axis=1), rows[box, 5 + label], label)


def _loaded(cfg: DarknetCfg, weights: Path) -> cv2.dnn.Net:
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        raise Unavailable(f"OpenCV {cv2.__version__} reads no Darknet files; install opencv-python-headless<5")
    stored = weights.read_bytes()
    if len(stored) <= max(_HEADER_BYTES):
        raise BadBundle(f"{weights}: has {len(stored)} bytes, less than the header of .weights; copy or fetch it again")
    try:
        net = cv2.dnn.readNetFromDarknet(np.frombuffer(cfg.for_opencv(), np.uint8), np.frombuffer(stored, np.uint8))
    except cv2.error as error:
        raise BadBundle(f"{cfg.path}: cannot be loaded by OpenCV: {_told(error)}") from error
    # OpenCV takes what a file has too little of from anywhere in the memory.
    numbers = sum(_numbers(net))
    if len(stored) not in (expected := [header + 4 * numbers for header in _HEADER_BYTES]):
        raise BadBundle(
            f"{weights}: has {len(stored)} bytes, the {numbers} numbers of {cfg.path.name} take {expected[-1]}; it is "
            "cut short or belongs to another .cfg: copy or fetch both again"
        )
    return net


def _numbers(net: cv2.dnn.Net) -> Iterator[int]:
    """How many numbers each layer has from the `.weights`; what a YOLO layer has are its anchors, from the `.cfg`."""
    for number in range(1, len(net.getLayerNames()) + 1):
        layer = net.getLayer(number)
        if layer.type != "Region":
            yield sum(blob.size for blob in layer.blobs)


def _told(error: cv2.error) -> str:
    """What OpenCV says, without its version and the place in its source."""
    return str(error.err or error).strip().splitlines()[0]
