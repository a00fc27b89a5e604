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

from vigie.darknet_cfg import DarknetCfg, labels_of, read_cfg, weights_beside
from vigie.decoded_heads import Candidates, DecodedDetector
from vigie.errors import BadBundle, BadSetting, Unavailable
from vigie.foreign.sidecar import Sidecar, read_sidecar, sidecar_path
from vigie.ports import Detector
from vigie.resizing import InputSize

NMS_IOU = 0.45
"""What Darknet's own commands take, whatever the `.cfg` says."""

SCORE_THRESHOLD = 0.25
"""What they take: a score is that of the box times that of the class, so lower than an SSD's."""

_MEANT = {"labels", "score_threshold", "thresholds", "nms_iou", "max_detections", "input"}  # of a sidecar's entries
_NUMBER_BYTES = 4


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
        BadSetting: the sidecar says what means nothing here.
        Unavailable: this OpenCV reads no Darknet files.
    """
    cfg, sidecar = read_cfg(options.model), _sidecar(options.model)
    labels = labels_of(cfg, sidecar)
    own = sidecar.score_threshold if "score_threshold" in sidecar.model_fields_set else SCORE_THRESHOLD
    threshold = own if options.score_threshold is None else options.score_threshold
    thresholds = sidecar.thresholds if options.score_threshold is None else {}
    letterbox = cfg.letterbox or sidecar.input.resize == "letterbox"
    cv2.setNumThreads(options.threads)
    return DecodedDetector(
        _DarknetHeads(cfg, weights_beside(cfg), min([threshold, *thresholds.values()])),
        labels=labels,
        input_size=InputSize(cfg.width, cfg.height, "letterbox" if letterbox else "stretch"),
        where=str(cfg.path),
        score_threshold=threshold,
        thresholds=thresholds,
        nms_iou=NMS_IOU if sidecar.nms_iou is None else sidecar.nms_iou,
        max_detections=sidecar.max_detections,
    ).tried()


def _sidecar(model: Path) -> Sidecar:
    sidecar = read_sidecar(model)
    numbers = {"mean", "std"} & sidecar.input.model_fields_set
    if meaningless := sorted(sidecar.model_fields_set - _MEANT | numbers):
        raise BadSetting(
            f"{sidecar_path(model)}: {', '.join(meaningless)} mean nothing for a network of Darknet; its .cfg says it"
        )
    return sidecar


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
    header = _header_bytes(stored)
    if len(stored) <= header:
        raise BadBundle(f"{weights}: has {len(stored)} bytes, not even the header of .weights; copy or fetch it again")
    try:
        net = cv2.dnn.readNetFromDarknet(np.frombuffer(cfg.for_opencv(), np.uint8), np.frombuffer(stored, np.uint8))
    except cv2.error as error:
        raise BadBundle(f"{cfg.path}: cannot be loaded by OpenCV: {_told(error)}") from error
    # OpenCV takes what a file has too little of from anywhere in the memory.
    numbers = sum(_numbers(net))
    if len(stored) != (expected := header + _NUMBER_BYTES * numbers):
        raise BadBundle(
            f"{weights}: has {len(stored)} bytes, the {numbers} numbers of {cfg.path.name} take {expected}; it is cut "
            "short or belongs to another .cfg: copy or fetch both again"
        )
    return net


def _header_bytes(stored: bytes) -> int:
    """Version (major, minor, revision) and the pictures seen, which take 8 bytes since version 0.2."""
    major, minor = np.frombuffer(stored[:8].ljust(8, b"\0"), "<i4")
    return 20 if major * 10 + minor >= 2 else 16


def _numbers(net: cv2.dnn.Net) -> Iterator[int]:
    """How many numbers each layer has from the `.weights`; what a YOLO layer has are its anchors, from the `.cfg`."""
    for number in range(1, len(net.getLayerNames()) + 1):
        layer = net.getLayer(number)
        if layer.type != "Region":
            yield sum(blob.size for blob in layer.blobs)


def _told(error: cv2.error) -> str:
    """What OpenCV says, without its version and the place in its source."""
    return str(error.err or error).strip().splitlines()[0]
