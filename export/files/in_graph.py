"""A SavedModel by what its clients see: the detections that it decodes and suppresses itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from vigie.bundle import SAVED_MODEL, Bundle
from vigie.decoding import detections_of
from vigie.domain import Detection
from vigie.errors import BadBundle, BadPicture
from vigie.export.files.raw_model import INPUT
from vigie.export.files.saved_model import PICTURES_SIGNATURE
from vigie.pictures import Picture
from vigie.resizing import InputSize, stretched

_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


class InGraphDetector:
    """A `vigie.ports.Detector`. Pictures come to the model as small as it makes them, resized as for other runtimes.

    So what is measured is its decoding and suppression, and not the difference between two ways of resizing.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Raises:
        BadBundle: the SavedModel cannot be loaded, or lacks the signature.
        """
        self.labels: Sequence[str] = bundle.manifest.labels
        spec = bundle.manifest.input
        self._size = InputSize(spec.width, spec.height, spec.resize)
        self._where = bundle.folder / SAVED_MODEL
        self._most = bundle.manifest.max_detections
        try:
            self._model: Any = tf.saved_model.load(str(bundle.folder))  # held: the signature lives only as long as it
            self._run: Any = self._model.signatures[PICTURES_SIGNATURE]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise BadBundle(f"{self._where}: cannot be loaded by TensorFlow: {error}; export it again") from error

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection] | BadPicture]:
        """Raises:
        BadBundle: the signature fails, or has other outputs.
        """
        return [self._on(picture) for picture in pictures]

    def _on(self, picture: Picture) -> list[Detection] | BadPicture:
        try:
            rgb = picture.rgb()
        except BadPicture as error:
            return error
        place = self._size.placement(picture.width, picture.height)
        seen = stretched(rgb, place.width, place.height)
        try:
            outputs = self._run(**{INPUT: tf.constant(seen[np.newaxis])})
            boxes, scores, classes, number = (outputs[name].numpy()[0] for name in _OUTPUTS)
        except (KeyError, TypeError, tf.errors.OpError) as error:
            raise BadBundle(f"{self._where}: {PICTURES_SIGNATURE} fails: {error}; export it again") from error
        sides = np.array([picture.height, picture.width] * 2, np.float32)
        found = slice(int(number))
        return detections_of(
            boxes[found] * sides,
            scores[found],
            classes[found],
            self.labels,
            nms_iou=None,
            max_detections=self._most,
        )
