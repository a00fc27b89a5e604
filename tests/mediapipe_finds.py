"""Run by the Python of another environment, one with MediaPipe: what that finds and what it reads, as JSON.

Arguments: a .npz of RGB pictures, the file whose boxes are asked, and any more of which the metadata is read.
"""

import json
import sys
import zipfile
from typing import Any

import mediapipe
import numpy as np
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as model_schema
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ObjectDetector, ObjectDetectorOptions


def finds(model: str, pictures: dict[str, Any]) -> dict[str, Any]:
    """Boxes are left, top, width and height in whole pixels, cut off after the point."""
    options = ObjectDetectorOptions(base_options=BaseOptions(model_asset_path=model), score_threshold=0.05)
    with ObjectDetector.create_from_options(options) as detector:
        seen = {name: detector.detect(rgb(pixels)).detections for name, pixels in pictures.items()}
    return {name: [one for found in detections for one in each(found)] for name, detections in seen.items()}


def rgb(pixels: Any) -> Any:
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))


def each(found: Any) -> list[dict[str, Any]]:
    """Boxes that are the same came together as one of several categories."""
    box = found.bounding_box
    sides = [box.origin_x, box.origin_y, box.width, box.height]
    return [{"label": one.category_name, "score": one.score, "box": sides} for one in found.categories]


def reads(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:  # noqa: PTH123 - a script of few words
        model = model_schema.ModelT.InitFromPackedBuf(file.read(), 0)
    (buffer,) = (entry.buffer for entry in model.metadata if entry.name == b"TFLITE_METADATA")
    told = metadata_schema.ModelMetadataT.InitFromPackedBuf(bytes(model.buffers[buffer].data), 0)
    (graph,) = told.subgraphMetadata
    (taken,) = graph.inputTensorMetadata
    (unit,) = taken.processUnits
    with zipfile.ZipFile(path) as packed:
        labels = {name: packed.read(name).decode() for name in packed.namelist()}
    return {
        "name": text(told.name),
        "mean": list(unit.options.mean),
        "std": list(unit.options.std),
        "lowest": list(taken.stats.min),
        "highest": list(taken.stats.max),
        "size": [taken.content.contentProperties.defaultSize.width, taken.content.contentProperties.defaultSize.height],
        "outputs": [text(output.name) for output in graph.outputTensorMetadata],
        "groups": {text(group.name): list(map(text, group.tensorNames)) for group in graph.outputTensorGroups or []},
        "labelled": {
            text(output.name): [(text(file.name), file.type) for file in output.associatedFiles]
            for output in graph.outputTensorMetadata
            if output.associatedFiles
        },
        "packed": labels,
    }


def text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


if __name__ == "__main__":
    pictures, model, *others = sys.argv[1:]
    answer = {"found": finds(model, dict(np.load(pictures))), "told": {path: reads(path) for path in (model, *others)}}
    json.dump(answer, sys.stdout, default=float)  # some are NumPy's
