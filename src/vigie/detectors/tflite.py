"""LiteRT (TensorFlow Lite) on the CPU."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from vigie.anchors import Boxes
from vigie.bundle import Bundle, open_bundle
from vigie.decoding import Scores
from vigie.errors import BadBundle
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import normalised


@dataclass(frozen=True)
class Options:
    """`file`: a file of the bundle `model`, its default one without. `score_threshold` replaces the bundle's."""

    model: Path
    file: str | None = None
    threads: int = 2
    score_threshold: float | None = None


def build(options: Options) -> Detector:
    """Load the model and run it once.

    Raises:
        BadBundle: the bundle or its model file is broken, or the two do not fit each other.
    """
    bundle = open_bundle(options.model)
    path = bundle.file(options.file)
    heads = _TfliteHeads(bundle, path, options.threads)
    return RawHeadsDetector(heads, bundle.decoder(options.score_threshold), where=str(path)).tried()


class _TfliteHeads:
    """Raw heads of a .tflite file. Outputs are found by their names in its signature: their order varies."""

    def __init__(self, bundle: Bundle, path: Path, threads: int) -> None:
        self._input_spec = bundle.manifest.input
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            signature = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise BadBundle(f"{path}: cannot be loaded by LiteRT: {_first_line(error)}; export it again") from error
        self._input = _the_picture(signature.get_input_details(), path, bundle)
        outputs = signature.get_output_details()
        names = bundle.manifest.outputs
        self._boxes = _output(outputs, names.boxes, path)
        self._scores = _output(outputs, names.scores, path)

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        spec = self._input_spec
        boxes, scores = zip(*map(self._one, normalised(rgb_u8, spec.mean_rgb, spec.std_rgb)), strict=True)
        return np.stack(boxes), np.stack(scores)

    def _one(self, picture: npt.NDArray[np.float32]) -> tuple[Boxes, Scores]:
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._boxes)[0], self._interpreter.get_tensor(self._scores)[0]


def _the_picture(inputs: dict[str, Any], path: Path, bundle: Bundle) -> int:
    found = {name: (tuple(int(side) for side in tensor["shape"]), tensor["dtype"]) for name, tensor in inputs.items()}
    spec = bundle.manifest.input
    if list(found.values()) != [((1, spec.height, spec.width, 3), np.float32)]:
        shapes = ", ".join(f"{name} {shape} {np.dtype(kind)}" for name, (shape, kind) in found.items())
        raise BadBundle(
            f"{path}: takes {shapes}, the manifest expects one picture (1, {spec.height}, {spec.width}, 3) float32; "
            "export the model again"
        )
    return int(next(iter(inputs.values()))["index"])


def _output(outputs: dict[str, Any], name: str, path: Path) -> int:
    if name not in outputs:
        raise BadBundle(
            f"{path}: has the outputs {', '.join(sorted(outputs))}, the manifest expects {name}; export the model again"
        )
    return int(outputs[name]["index"])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
