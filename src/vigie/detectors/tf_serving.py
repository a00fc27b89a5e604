"""The SavedModel of a bundle where TF Serving runs it, asked by REST; nothing but the pictures' bytes travels."""

import base64
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from vigie.anchors import Boxes
from vigie.bundle import Bundle, open_bundle
from vigie.decoding import detections_of
from vigie.domain import Detection
from vigie.errors import BadBundle, BadPicture, Unavailable
from vigie.model_server import AVAILABLE, ModelServer, Patience, Refused, Signature
from vigie.pictures import Picture, Pixels, encode_jpeg
from vigie.ports import Detector

logger = logging.getLogger(__name__)

SIGNATURE = "serving_jpeg"
INPUT = "jpegs"
RAW_HEADS = "raw_heads"
BOXES, SCORES, CLASSES = "detection_boxes", "detection_scores", "detection_classes"
NAMES, NUMBER = "detection_labels", "num_detections"
OUTPUTS = (BOXES, SCORES, CLASSES, NAMES, NUMBER)
_TICK_S = 0.5
_NOT_FOUND = 404
_SERVER_ERROR = 500

Seconds = Annotated[float, Field(gt=0, le=3600)]


@dataclass(frozen=True)
class Options:
    """`model`: the bundle that the server serves, here for its labels and thresholds; `name` and `version` are its own.

    `start_timeout_s`: how long a server may take to come up and load; `connect_timeout_s` and `timeout_s` are of one
    try, `total_timeout_s` of a question with all its tries. `batch`: pictures a question. `file` and `threads` are the
    server's business.
    """

    model: Path
    file: str | None = None
    threads: int = 2
    score_threshold: float | None = None
    url: str = "http://127.0.0.1:8501"
    name: str | None = None
    version: int | None = None
    start_timeout_s: Seconds = 20.0
    connect_timeout_s: Seconds = 1.0
    timeout_s: Seconds = 5.0
    total_timeout_s: Seconds = 10.0
    batch: Annotated[int, Field(ge=1, le=64)] = 8


def build(options: Options) -> Detector:
    """Wait until the server has the model, see that it is the bundle's, and ask it once.

    Raises:
        BadBundle: the bundle is broken, or what is served is another model.
        Unavailable: the server does not answer, or does not get ready.
    """
    bundle = open_bundle(options.model)
    facts = bundle.manifest
    patience = Patience(options.connect_timeout_s, options.timeout_s, options.total_timeout_s)
    server = ModelServer(
        options.url, options.name or facts.name, facts.version if options.version is None else options.version, patience
    )
    _wait_for(server, options.start_timeout_s)
    try:
        _check(server.signatures(), bundle, server.where)
    except Refused as error:
        raise BadBundle(f"{server.where}/metadata: {error}; export the model again") from error
    detector = TfServingDetector(server, bundle, score_threshold=options.score_threshold, batch=options.batch)
    detector.probe()
    return detector


class TfServingDetector:
    """A `vigie.ports.Detector`. An outage of the server is `Unavailable`, after all tries."""

    def __init__(
        self, server: ModelServer, bundle: Bundle, *, score_threshold: float | None = None, batch: int = 8
    ) -> None:
        self._server = server
        self._batch = batch
        facts = bundle.manifest
        self._max_detections = facts.max_detections
        lowest = facts.score_threshold if score_threshold is None else score_threshold
        own = facts.thresholds if score_threshold is None else {}
        self._thresholds = np.array([own.get(label, lowest) for label in facts.labels], np.float32)
        self._labels = facts.labels
        self._probe = encode_jpeg(np.full((facts.input.height, facts.input.width, 3), 127, np.uint8))

    @property
    def labels(self) -> Sequence[str]:
        return self._labels

    def probe(self) -> None:
        """Ask for a picture that is certainly one.

        Raises:
            BadBundle: the model refuses it, so what is served is not the bundle's.
            Unavailable: the server is away, or ill.
        """
        try:
            found = self._ask([self._probe])
        except Refused as error:
            if error.status >= _SERVER_ERROR:
                raise Unavailable(f"{self._server.where}: the model fails on every picture: {error}") from error
            raise BadBundle(
                f"{self._server.where}: refuses a picture of its own input size: {error}; see that it serves this "
                "bundle, or export the model again"
            ) from error
        self._detections(found[0], 1, 1)

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        """One entry a picture (see `vigie.ports.Detector`).

        Raises:
            Unavailable: the server is away for longer than its time-outs allow.
            BadBundle: what is served is another model now, or its outputs are not finite.
        """
        entries: list[list[Detection] | BadPicture] = []
        for start in range(0, len(pictures), self._batch):
            entries += self._detect_batch(pictures[start : start + self._batch])
        return entries

    def _detect_batch(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        encoded = [_encoded(picture) for picture in pictures]
        good = [one for one in encoded if isinstance(one, bytes)]
        found = iter(self._found(good)) if good else iter(())
        entries: list[list[Detection] | BadPicture] = []
        for picture, one in zip(pictures, encoded, strict=True):
            outcome = one if isinstance(one, BadPicture) else next(found)
            entries.append(
                outcome if isinstance(outcome, BadPicture) else self._detections(outcome, picture.width, picture.height)
            )
        return entries

    def _found(self, encoded: Sequence[bytes]) -> Sequence["_Found | BadPicture"]:
        """The server fails a batch for one picture: then each is asked for by itself."""
        try:
            return self._ask(encoded)
        except Refused as error:
            if len(encoded) > 1:
                return [found for one in encoded for found in self._found([one])]
            self.probe()  # the picture, or the model?
            return [BadPicture(f"the model server refuses the picture: {error}")]

    def _ask(self, encoded: Sequence[bytes]) -> Sequence["_Found"]:
        inputs = {INPUT: [{"b64": base64.b64encode(one).decode()} for one in encoded]}
        try:
            outputs = self._server.predict(SIGNATURE, inputs)
        except Refused as error:
            if error.status == _NOT_FOUND:
                raise _gone(self._server, error) from error
            raise
        return list(_split(outputs, len(encoded), self._server.where))

    def _detections(self, found: "_Found", width: int, height: int) -> list[Detection]:
        classes = found.classes
        if classes.size and not 0 <= classes.min() <= classes.max() < len(self._labels):
            raise self._other(f"finds the class {classes.max() if classes.min() >= 0 else classes.min()}")
        for name, column in zip(found.names, classes, strict=True):
            if name != self._labels[column]:
                raise self._other(f"calls the class {column} {name!r}")
        chosen = np.flatnonzero(found.scores >= self._thresholds[classes])
        sides = np.array([height, width, height, width], np.float32)
        boxes = np.clip(found.boxes[chosen] * sides, 0, sides)
        return detections_of(
            boxes, found.scores[chosen], classes[chosen], self._labels, nms_iou=None,
            max_detections=self._max_detections,
        )  # fmt: skip

    def _other(self, what: str) -> BadBundle:
        return BadBundle(
            f"{self._server.where}: {what}, the bundle's labels are {list(self._labels)}: it serves another model; "
            "copy the bundle to the server"
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What the server found on one picture: boxes N x 4 (top, left, bottom, right in 0 to 1), best first."""

    boxes: Boxes
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    names: Sequence[str]


def _encoded(picture: Picture) -> bytes | BadPicture:
    """The JPEG as it came; what has only pixels, or lies on its side, as PNG, which loses nothing."""
    as_it_came = picture.format == "jpeg" and not (picture.turned or picture.cmyk)
    try:
        rgb: Pixels = picture.rgb_for(1, 1) if as_it_came else picture.rgb()  # no server need see a broken one
        if not rgb.size:
            return BadPicture(f"the picture has no pixels: it is {picture.width} px wide and {picture.height} px high")
        if as_it_came:
            return picture.jpeg()
    except BadPicture as error:
        return error
    done, png = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return png.tobytes() if done else BadPicture(f"pixels of shape {rgb.shape} cannot be encoded as PNG")


def _split(outputs: Mapping[str, Any], pictures: int, where: str) -> Iterator[_Found]:
    try:
        boxes = np.asarray(outputs[BOXES], np.float32)
        scores = np.asarray(outputs[SCORES], np.float32)
        classes = np.asarray(outputs[CLASSES], np.float64)
        numbers = np.asarray(outputs[NUMBER], np.float64).reshape(-1)
        names = outputs[NAMES]
        rows = scores.shape[1]
        fit = (boxes.shape, scores.shape, classes.shape) == ((pictures, rows, 4), (pictures, rows), (pictures, rows))
        fit = fit and len(names) == len(numbers) == pictures
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise BadBundle(f"{where}: its answer is not what the bundle's model gives: {error!r}") from error
    if not fit:
        raise BadBundle(
            f"{where}: its outputs do not belong together: boxes {boxes.shape}, scores {scores.shape}, classes "
            f"{classes.shape} and {len(names)} lists of labels for {pictures} pictures; export the model again"
        )
    for row in range(pictures):
        if not all(np.isfinite(part).all() for part in (boxes[row], scores[row], classes[row], numbers[row])):
            raise BadBundle(f"{where}: its outputs are not finite; the training broke down, train again")
        number = min(int(numbers[row]), rows)
        yield _Found(
            boxes[row, :number], scores[row, :number], classes[row, :number].astype(np.int64), names[row][:number]
        )


def _wait_for(server: ModelServer, timeout_s: float) -> None:
    """Until the version is loaded."""
    deadline = time.monotonic() + timeout_s
    told = False
    while True:
        trouble: Unavailable | BadBundle
        try:
            state, text = server.state()
            if state == AVAILABLE:
                return
            trouble = Unavailable(f"{server.where}: the model is {state} {text}".rstrip() + "; see the server's log")
        except Unavailable as error:
            trouble = error
        except Refused as error:
            trouble = _absent(server, error)
        if time.monotonic() >= deadline:
            raise trouble
        if not told:
            logger.info("waiting for the model server, %.0f s at most: %s", timeout_s, trouble)
            told = True
        time.sleep(min(_TICK_S, max(0.0, deadline - time.monotonic())))


def _absent(server: ModelServer, error: Refused) -> BadBundle:
    versions = server.available_versions()
    has = f"it has the versions {', '.join(versions)}" if versions else "it has no version of this model"
    return BadBundle(
        f"{server.where}: {error}; {has}. Copy the bundle to the server, start it with this model's name, or name "
        "another one with the options name and version"
    )


def _gone(server: ModelServer, error: Refused) -> BadBundle | Unavailable:
    """A server that serves another version instead will not come back to ours; one without any is starting."""
    if server.available_versions():
        return _absent(server, error)
    return Unavailable(f"{server.where}: {error}; the server loads it, or was started without it")


def _check(signatures: Mapping[str, Signature], bundle: Bundle, where: str) -> None:
    """
    Raises:
        BadBundle: the signature is not there or takes or gives something else, or the model inside is another.
    """
    found = signatures.get(SIGNATURE)
    if found is None:
        raise BadBundle(
            f"{where}: has the signatures {', '.join(sorted(signatures))}, and {SIGNATURE} is asked for; "
            "export the model again"
        )
    inputs = {name: (one.kind, len(one.shape)) for name, one in found.inputs.items()}
    if inputs != {INPUT: ("DT_STRING", 1)}:
        raise BadBundle(f"{where}: {SIGNATURE} takes {inputs}, expected one list of strings {INPUT}; export it again")
    if missing := [name for name in OUTPUTS if name not in found.outputs]:
        raise BadBundle(
            f"{where}: {SIGNATURE} gives {', '.join(sorted(found.outputs))}, without {', '.join(missing)}; "
            "export the model again"
        )
    heads = signatures.get(RAW_HEADS)
    if heads is not None:
        _check_heads(heads, bundle, where)


def _check_heads(heads: Signature, bundle: Bundle, where: str) -> None:
    facts = bundle.manifest
    decoder = bundle.decoder()
    expected = {
        "pictures": (facts.input.height, facts.input.width, 3),
        facts.outputs.boxes: (len(decoder.anchors), 4),
        facts.outputs.scores: (len(decoder.anchors), len(facts.labels)),
    }
    for name, shape in expected.items():
        tensor = heads.inputs.get(name) or heads.outputs.get(name)
        found = () if tensor is None else tensor.shape[1:]
        if len(found) != len(shape) or any(one not in (-1, other) for one, other in zip(found, shape, strict=True)):
            raise BadBundle(
                f"{where}: its {name} are {found} a picture, those of {bundle.folder} are {shape}: the server has "
                "another model under this name; copy the bundle to it"
            )
