"""A detector of any model file that runs, whatever runs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vigie.anchors import Boxes, anchors_yxyx_px
from vigie.decoded_heads import Candidates, DecodedDetector
from vigie.decoding import Decoder, Scores
from vigie.errors import BadBundle
from vigie.foreign import labels
from vigie.foreign.meaning import Decoded, Output, Raw, Values, meaning_of, trial_pictures
from vigie.foreign.sidecar import Activation, RawSection, Sidecar, sidecar_path
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import InputSize

NMS_IOU = 0.5
"""Of raw heads whose sidecar does not say."""


class Network(Protocol):
    """A model that runs, with its input in place: it takes pixels of 0 to 255 and normalises them itself."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def outputs(self) -> Sequence[Output]: ...

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> Sequence[Values]:
        """B x height x width x 3 -> an array an output, in their order, batch first; numbers as they are meant."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the file tells of itself: `rows` of labels, places of outputs, how many classes it tells apart."""

    rows: Sequence[str] = ()
    places: Mapping[str, int] | None = None
    classes: int | None = None


def foreign_detector(
    network: Network,
    model: Path,
    sidecar: Sidecar,
    known: Known,
    *,
    score_threshold: float | None = None,
    batch: int = 1,
) -> DecodedDetector | RawHeadsDetector:
    """Run the network on trial pictures, find out what it gives, and make detections of that.

    Raises:
        BadBundle: its outputs are not a detector's, or its labels do not fit them.
    """
    rows = labels.rows_of(model, sidecar, known.rows)
    trials = _tried(network, batch)
    found = meaning_of(network.outputs, trials, sidecar.outputs, known.places or {}, str(model))
    if isinstance(found, Raw):
        return _raw_detector(network, model, sidecar, found, trials, rows, score_threshold, batch)
    names = labels.of_classes(rows, known.classes, sidecar.background, str(model))
    return DecodedDetector(
        DecodedOutputs(network, found, str(model), xyxy=sidecar.order == "xyxy", first_class=sidecar.first_class),
        labels=names,
        input_size=InputSize(network.width, network.height, sidecar.input.resize),
        where=str(model),
        batch=batch,
        score_threshold=sidecar.score_threshold if score_threshold is None else score_threshold,
        thresholds=sidecar.thresholds if score_threshold is None else {},
        nms_iou=sidecar.nms_iou,
        max_detections=sidecar.max_detections,
    ).tried()


def _tried(network: Network, batch: int) -> list[Values]:
    pictures = trial_pictures(network.width, network.height)
    parts = [network(pictures[start : start + batch]) for start in range(0, len(pictures), batch)]
    return [np.concatenate([np.atleast_1d(part) for part in of_output]) for of_output in zip(*parts, strict=True)]


@dataclass(frozen=True, slots=True)
class DecodedOutputs:
    """`vigie.decoded_heads.DecodedHeads` of a network that decodes its boxes."""

    network: Network
    places: Decoded
    where: str
    xyxy: bool = False
    first_class: int = 0

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> Sequence[Candidates]:
        outputs = self.network(rgb_u8)
        places = self.places
        return [
            self._candidates(
                outputs[places.boxes][at],
                outputs[places.scores][at],
                outputs[places.classes][at],
                None if places.count is None else float(np.ravel(outputs[places.count])[at]),
            )
            for at in range(len(rgb_u8))
        ]

    def _candidates(self, boxes: Boxes, scores: Values, classes: Values, count: float | None) -> Candidates:
        if count is not None:
            if not 0 <= count <= len(scores):
                raise BadBundle(f"{self.where}: says that it found {count} boxes, of at most {len(scores)}")
            rows = slice(0, round(count))
            boxes, scores, classes = boxes[rows], scores[rows], classes[rows]
        # A class of -1 or beyond the labels is padding where its score is 0: `DecodedDetector` looks at the others.
        numbers = np.nan_to_num(classes).astype(np.int64) - self.first_class
        return Candidates(boxes[:, [1, 0, 3, 2]] if self.xyxy else boxes, scores, numbers)


def _raw_detector(
    network: Network,
    model: Path,
    sidecar: Sidecar,
    found: Raw,
    trials: Sequence[Values],
    rows: Sequence[str],
    score_threshold: float | None,
    batch: int,
) -> RawHeadsDetector:
    raw = sidecar.raw
    if raw is None:
        raise BadBundle(
            f"{model}: gives raw boxes {network.outputs[found.boxes]} and scores {network.outputs[found.scores]}, and "
            f"does not say how they become boxes; write `raw:` into {sidecar_path(model)} (a file of our own exports "
            "is run by the folder that it is in)"
        )
    names = labels.of_columns(rows, network.outputs[found.scores].shape[2], sidecar.background, str(model))
    columns = [column for column, name in enumerate(names) if name is not None]
    decoder = Decoder(
        labels=tuple(name for name in names if name is not None),
        input_width=network.width,
        input_height=network.height,
        anchors=_anchors(network, model, raw, found, trials),
        coding=raw.coding,
        box_weights=raw.weights,
        score_threshold=sidecar.score_threshold if score_threshold is None else score_threshold,
        thresholds=sidecar.thresholds if score_threshold is None else {},
        nms_iou=NMS_IOU if sidecar.nms_iou is None else sidecar.nms_iou,
        max_detections=sidecar.max_detections,
        resize=sidecar.input.resize,
    )
    heads = RawOutputs(network, found, columns, raw.scores, xyxy=raw.order == "xyxy")
    return RawHeadsDetector(heads, decoder, where=str(model), batch=batch).tried()


def _anchors(network: Network, model: Path, raw: RawSection, found: Raw, trials: Sequence[Values]) -> Boxes:
    if raw.anchors is not None:
        return anchors_yxyx_px(raw.anchors, network.width, network.height)
    if found.anchors is None:
        raise BadBundle(f"{model}: gives no anchors, and its sidecar has no grid of them under `raw.anchors`")
    anchors = trials[found.anchors][0]
    if raw.order == "xyxy":
        anchors = anchors[:, [1, 0, 3, 2]]
    return np.asarray(anchors * np.array([network.height, network.width] * 2), np.float32)


@dataclass(frozen=True, slots=True)
class RawOutputs:
    """`vigie.raw_heads.RawHeads` of a network: of its scores those in `columns`."""

    network: Network
    places: Raw
    columns: Sequence[int]
    activation: Activation
    xyxy: bool = False

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        outputs = self.network(rgb_u8)
        boxes, scores = outputs[self.places.boxes], outputs[self.places.scores]
        if self.xyxy:
            boxes = boxes[..., [1, 0, 3, 2]]
        return boxes, _activated(scores, self.activation)[..., self.columns]


def _activated(scores: Values, how: Activation) -> Values:
    if how == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-scores)), np.float32)
    if how == "softmax":
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
    return scores
