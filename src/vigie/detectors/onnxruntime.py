"""ONNX Runtime on the CPU: the bundle's `model.onnx`, in single precision, and detectors of others."""

from collections.abc import Sequence
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
from vigie.foreign.detector import Known, foreign_detector
from vigie.foreign.meaning import Output, Values
from vigie.foreign.sidecar import InputSection, read_sidecar, sidecar_path
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import Triple, normalised
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
    """`file`: a file of the bundle `model`, `model.onnx` without. `model` may also be a file of somebody else.

    `score_threshold` replaces all thresholds of the model.
    """

    model: Path
    file: str | None = None
    threads: int = 2
    score_threshold: float | None = None


def build(options: Options) -> Detector:
    """Load the model and run it once.

    Raises:
        BadBundle: the bundle or its model file is broken, or the two do not fit each other; or a file whose input,
            outputs or labels are not known.
        BadSetting: the sidecar of somebody else's file says what none says.
    """
    if options.model.is_file():
        sidecar = read_sidecar(options.model)
        network = Network(options.model, options.threads, sidecar.input)
        return foreign_detector(network, options.model, sidecar, Known(), score_threshold=options.score_threshold)
    bundle = open_bundle(options.model)
    path = bundle.file(options.file or ONNX)
    heads = OnnxHeads(bundle, path, options.threads)
    return RawHeadsDetector(heads, bundle.decoder(options.score_threshold), where=str(path)).tried()


class OnnxHeads:
    """Raw heads of a bundle's file, one picture at a time: several at once are no faster."""

    def __init__(self, bundle: Bundle, path: Path, threads: int) -> None:
        facts = bundle.manifest
        self._session = Session(path, threads)
        inputs = self._session.inputs
        check_signature(path, facts, inputs=inputs, outputs=self._session.outputs)
        self._input = next(iter(inputs))
        self._names = [facts.outputs.boxes, facts.outputs.scores]
        self._mean, self._std = facts.input.mean_rgb, facts.input.std_rgb

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        boxes, scores = zip(*map(self._one, rgb_u8), strict=True)
        return np.concatenate(boxes), np.concatenate(scores)

    def _one(self, picture: npt.NDArray[np.uint8]) -> Sequence[Any]:
        return self._session.run(self._names, {self._input: normalised(picture[None], self._mean, self._std)})


class Network:
    """A `vigie.foreign.detector.Network`: one picture, channels last or first, as bytes or as the sidecar says."""

    def __init__(self, path: Path, threads: int, asked: InputSection) -> None:
        self._session = Session(path, threads)
        told = ", ".join(f"{name} {list(shape)} {kind}" for name, (shape, kind) in self._session.inputs.items())
        (self._input, (shape, kind)), *more = self._session.inputs.items()
        sides = [side for side in shape[1:] if side is not None]
        if more or len(shape) != 4 or len(sides) != 3 or 3 not in (sides[0], sides[2]) or shape[0] not in (None, 1):
            raise BadBundle(f"{path}: takes {told}, and a detector takes one picture of one size in three colours")
        if kind not in ("uint8", "float32"):
            raise BadBundle(f"{path}: takes {told}, and pixels come as uint8 or float32")
        self._last = sides[2] == 3
        self.height, self.width = sides[:2] if self._last else sides[1:]
        self._normalisation = None if kind == "uint8" else _normalisation(asked, path)
        self.outputs = [Output((name,), shape) for name, shape in self._output_shapes()]

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> Sequence[Values]:
        found = [self._one(picture) for picture in rgb_u8]
        return [np.concatenate([np.atleast_1d(one) for one in of_output]) for of_output in zip(*found, strict=True)]

    def _one(self, picture: npt.NDArray[np.uint8]) -> Sequence[Values]:
        pixels = picture[None] if self._normalisation is None else normalised(picture[None], *self._normalisation)
        placed = pixels if self._last else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        return [np.asarray(one, np.float32) for one in self._session.run(None, {self._input: placed})]

    def _output_shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        """Of what it gives on a black picture: in the file sides may be free."""
        black = np.zeros((self.height, self.width, 3), np.uint8)
        return [(name, one.shape) for name, one in zip(self._session.outputs, self._one(black), strict=True)]


class Session:
    """An ONNX file that is loaded; `inputs` are shapes, None for a free side, and kinds of numbers by name."""

    def __init__(self, path: Path, threads: int) -> None:
        self._path = path
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = _SILENT
        try:
            self._session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        except _FAILURES as error:
            raise BadBundle(f"{path}: cannot be loaded by ONNX Runtime: {_told(error)}; export it again") from error
        self.inputs = {
            one.name: (tuple(side if isinstance(side, int) else None for side in one.shape), _kind(one.type))
            for one in self._session.get_inputs()
        }
        self.outputs = [one.name for one in self._session.get_outputs()]

    def run(self, names: Sequence[str] | None, inputs: dict[str, npt.NDArray[Any]]) -> Sequence[Any]:
        try:
            found: Sequence[Any] = self._session.run(names, inputs)
        except _FAILURES as error:
            raise BadBundle(f"{self._path}: cannot be run by ONNX Runtime: {_told(error)}; export it again") from error
        return found


def _normalisation(asked: InputSection, path: Path) -> tuple[Triple, Triple]:
    if asked.mean is None or asked.std is None:
        raise BadBundle(
            f"{path}: takes float32 pixels and does not say which; write `input: {{mean: ..., std: ...}}` into "
            f"{sidecar_path(path)}"
        )
    return _triple(asked.mean), _triple(asked.std)


def _triple(value: float | Triple) -> Triple:
    return value if isinstance(value, tuple) else (value, value, value)


def _kind(told: str) -> str:
    """ "tensor(float)" is "float32" to everybody else."""
    inner = told.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)


def _told(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
