"""ONNX Runtime on the CPU: the bundle's `model.onnx`, in single precision."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from vigie.anchors import Boxes
from vigie.bundle import ONNX, Bundle, open_bundle
from vigie.decoding import Scores
from vigie.errors import BadBundle
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import normalised
from vigie.signature import check_signature

_SILENT = 4  # only what is fatal: its errors come as exceptions
# They have no class in common but Exception.
_FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)


@dataclass(frozen=True)
class Options:
    """`file`: a file of the bundle `model`, `model.onnx` without. `score_threshold` replaces the bundle's."""

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
    path = bundle.file(options.file or ONNX)
    heads = OnnxHeads(bundle, path, options.threads)
    return RawHeadsDetector(heads, bundle.decoder(options.score_threshold), where=str(path)).tried()


class OnnxHeads:
    def __init__(self, bundle: Bundle, path: Path, threads: int) -> None:
        self._path = path
        self._spec = bundle.manifest.input
        self._outputs = [bundle.manifest.outputs.boxes, bundle.manifest.outputs.scores]
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), _settings(threads), providers=["CPUExecutionProvider"]
            )
        except _FAILURES as error:
            raise BadBundle(f"{path}: cannot be loaded by ONNX Runtime: {_told(error)}; export it again") from error
        inputs = {
            one.name: ([_side(side) for side in one.shape], _kind(one.type)) for one in self._session.get_inputs()
        }
        check_signature(path, bundle.manifest, inputs=inputs, outputs={one.name for one in self._session.get_outputs()})
        self._input = next(iter(inputs))

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        pictures = normalised(rgb_u8, self._spec.mean_rgb, self._spec.std_rgb)
        try:
            boxes, scores = self._session.run(self._outputs, {self._input: pictures})
        except _FAILURES as error:
            raise BadBundle(f"{self._path}: cannot be run by ONNX Runtime: {_told(error)}; export it again") from error
        return np.asarray(boxes), np.asarray(scores)


def _settings(threads: int) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _SILENT
    return settings


def _side(side: Any) -> int | None:
    """A free one is told by its name."""
    return side if isinstance(side, int) else None


def _kind(told: str) -> str:
    """ "tensor(float)" is "float32" to everybody else."""
    inner = told.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)


def _told(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
