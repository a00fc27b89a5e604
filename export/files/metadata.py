"""TensorFlow Lite metadata: what other people's tools need to feed a file and to read what it gives.

A FlatBuffer in the model, and the labels in a zip archive behind it. The numbers in the tables are those of the fields
in mediapipe/tasks/metadata/metadata_schema.fbs of github.com/google-ai-edge/mediapipe.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from vigie.bundle import LABELS_FILE, InputSpec
from vigie.export.files.flatbuffer_tables import Byte, Floats, Table, Value, Whole, Wholes, to_bytes, with_metadata
from vigie.export.files.raw_model import INPUT, OUTPUTS
from vigie.export.files.tflite import PHONE_MEAN, PHONE_STD, POSTPROCESS_OUTPUTS, outputs_of

_IDENTIFIER = b"M001"
_PARSER_VERSION = "1.2.0"  # the first that knows groups of tensors
_GROUP = "detection_result"
_LOCATION, _CATEGORY, _SCORE, _NUMBER = "location", "category", "score", "number of detections"
_AXIS_LABELS, _VALUE_LABELS = 2, 3  # the labels are those of the last axis, or of the numbers in the tensor
_FEATURE, _IMAGE, _BOUNDING_BOX = 1, 2, 3  # types of content
_NORMALISATION = 1  # type of a process unit
_RGB = 1
_BOUNDARIES, _RATIO = 1, 0
_LEFT_TOP_RIGHT_BOTTOM = (1, 0, 3, 2)  # where they stand in a box of the file


def add_metadata(path: Path, *, name: str, labels: Sequence[str], spec: InputSpec, postprocess: bool) -> None:
    """Say in a file of `vigie.export.files.tflite` what it takes and gives, and pack its labels into it. Once a file.

    Raises:
        BadBundle: it is no TensorFlow Lite model.
    """
    model = path.read_bytes()
    known = _postprocess_outputs() if postprocess else _raw_outputs()
    # An entry a tensor, in the order in which the file gives them: readers go by the place.
    outputs = [known[output] for output in outputs_of(path)]
    described = _model(name, _pictures(spec, postprocess=postprocess), outputs, grouped=postprocess)
    whole = with_metadata(model, to_bytes(described, _IDENTIFIER))
    path.write_bytes(whole + _zipped(LABELS_FILE, "".join(f"{label}\n" for label in labels)))


def _model(name: str, pictures: Table, outputs: Sequence[Table], *, grouped: bool) -> Table:
    subgraph: dict[int, Value] = {2: [pictures], 3: outputs}
    if grouped:
        subgraph[8] = [Table({0: _GROUP, 1: [_LOCATION, _CATEGORY, _SCORE]})]
    about = (
        "Where objects are and what they are." if grouped else "Raw box offsets and scores of an SSD, one an anchor."
    )
    return Table({0: name, 1: about, 3: [Table(subgraph)], 7: _PARSER_VERSION})


def _pictures(spec: InputSpec, *, postprocess: bool) -> Table:
    mean = (PHONE_MEAN,) * 3 if postprocess else spec.mean_rgb
    std = (PHONE_STD,) * 3 if postprocess else spec.std_rgb
    size = Table({0: Whole(spec.width), 1: Whole(spec.height)})
    content = Table({0: Byte(_IMAGE), 1: Table({0: Byte(_RGB), 1: size})})
    ends = [[(end - middle) / width for middle, width in zip(mean, std, strict=True)] for end in (0, 255)]
    fitted = (
        "the whole picture stretched to it" if spec.resize == "stretch" else "letterboxed into its middle on grey 114"
    )
    return Table(
        {
            0: INPUT,
            1: f"RGB, {spec.width} x {spec.height} pixels, {fitted}.",
            3: content,
            4: [Table({0: Byte(_NORMALISATION), 1: Table({0: Floats(mean), 1: Floats(std)})})],
            5: Table({0: Floats(ends[1]), 1: Floats(ends[0])}),
        }
    )


def _raw_outputs() -> dict[str, Table]:
    feature = Table({0: Byte(_FEATURE), 1: Table({})})
    boxes = "dy, dx, dh, dw of the box at each anchor, to be decoded as the model's manifest says."
    scores = "Probability of each label at each anchor."
    return {
        OUTPUTS.boxes: Table({0: OUTPUTS.boxes, 1: boxes, 3: feature}),
        OUTPUTS.scores: Table({0: OUTPUTS.scores, 1: scores, 3: feature, 6: [_labels(_AXIS_LABELS)]}),
    }


def _postprocess_outputs() -> dict[str, Table]:
    """The names by which MediaPipe and Android's task library find them."""
    corners = Table({0: Wholes(_LEFT_TOP_RIGHT_BOTTOM), 1: Byte(_BOUNDARIES), 2: Byte(_RATIO)})
    feature = Table({})
    each = Table({0: Whole(2), 1: Whole(2)})  # one a detection: the second dimension
    boxes, classes, scores, number = POSTPROCESS_OUTPUTS
    return {
        boxes: Table(
            {
                0: _LOCATION,
                1: "Top, left, bottom and right of each box, 0 to 1 of the input.",
                3: Table({0: Byte(_BOUNDING_BOX), 1: corners, 2: each}),
            }
        ),
        classes: Table(
            {
                0: _CATEGORY,
                1: "Which label each box has, from 0.",
                3: Table({0: Byte(_FEATURE), 1: feature, 2: each}),
                6: [_labels(_VALUE_LABELS)],
            }
        ),
        scores: Table(
            {0: _SCORE, 1: "How sure each is, best first.", 3: Table({0: Byte(_FEATURE), 1: feature, 2: each})}
        ),
        number: Table({0: _NUMBER, 1: "How many of the rows count.", 3: Table({0: Byte(_FEATURE), 1: feature})}),
    }


def _labels(kind: int) -> Table:
    return Table({0: LABELS_FILE, 1: "One label a line.", 2: Byte(kind)})


def _zipped(name: str, text: str) -> bytes:
    """An archive with that one file, not compressed: phones read it where it lies. The same bytes at any time."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(zipfile.ZipInfo(name), text)
    return archive.getvalue()
