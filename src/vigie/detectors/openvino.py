"""OpenVINO on the CPU: the bundle's `model.onnx`, in half precision (bfloat16) where the processor has it."""

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import openvino

from vigie.anchors import Boxes
from vigie.bundle import ONNX, Bundle, InputSpec, open_bundle
from vigie.decoding import Scores
from vigie.errors import BadBundle, BadSetting
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector
from vigie.signature import check_signature

logger = logging.getLogger(__name__)

Precision = Literal["auto", "f32", "bf16"]


@dataclass(frozen=True)
class Options:
    """`file`: a file of the bundle `model`, `model.onnx` without. `score_threshold` replaces the bundle's.

    `precision`: of the computation; auto is bf16 where the processor has it, with scores a little off and boxes a few
    tenths of a pixel, otherwise f32, which is the checkpoint's.
    """

    model: Path
    file: str | None = None
    threads: int = 2
    score_threshold: float | None = None
    precision: Precision = "auto"


def build(options: Options) -> Detector:
    """Load the model and run it once.

    Raises:
        BadBundle: the bundle or its model file is broken, or the two do not fit each other.
        BadSetting: the processor lacks the precision.
    """
    bundle = open_bundle(options.model)
    path = bundle.file(options.file or ONNX)
    precision = chosen_precision(options.precision)
    logger.info("openvino: file=%s precision=%s threads=%d", path.name, precision, options.threads)
    heads = OpenvinoHeads(bundle, path, options.threads, precision)
    return RawHeadsDetector(heads, bundle.decoder(options.score_threshold), where=str(path)).tried()


@contextmanager
def _signal_stack_kept() -> Iterator[None]:
    """After a model that it refuses, OpenVINO 2026.4 leaves the thread an alternate stack for signals and frees it: the
    next signal, such as Ctrl-C, would end the process. Whatever stack there was before is there again.
    """
    libc = ctypes.CDLL(None)
    kept = ctypes.create_string_buffer(64)  # a stack_t is 24 bytes
    known = libc.sigaltstack(None, kept) == 0
    try:
        yield
    finally:
        if known:
            libc.sigaltstack(kept, None)


def chosen_precision(asked: Precision) -> Literal["f32", "bf16"]:
    """What `asked` is on this processor.

    Raises:
        BadSetting: it lacks bf16.
    """
    if asked == "f32":
        return "f32"
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "bf16"
    if asked == "bf16":
        raise BadSetting("detector openvino: precision bf16: this processor has none; take auto or f32")
    return "f32"


class OpenvinoHeads:
    """One picture at a time, of a fixed shape: with a free batch OpenVINO runs slower."""

    def __init__(self, bundle: Bundle, path: Path, threads: int, precision: str) -> None:
        outputs = bundle.manifest.outputs
        core = openvino.Core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": precision,
            # Pinned, the threads of all processes would share the first cores.
            "ENABLE_CPU_PINNING": "NO",
        }
        try:
            with _signal_stack_kept():
                model = core.read_model(path)
                _check(model, bundle, path)
                compiled = core.compile_model(_from_pixels(model, bundle.manifest.input), "CPU", settings)
        except RuntimeError as error:
            raise BadBundle(f"{path}: cannot be loaded by OpenVINO: {_told(error)}; export it again") from error
        self._request = compiled.create_infer_request()
        self._boxes, self._scores = (compiled.output(name) for name in (outputs.boxes, outputs.scores))

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        boxes, scores = zip(*map(self._one, rgb_u8), strict=True)
        return np.concatenate(boxes), np.concatenate(scores)

    def _one(self, picture: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        found = self._request.infer({0: np.ascontiguousarray(picture[None])}, share_inputs=True, share_outputs=True)
        return found[self._boxes].copy(), found[self._scores].copy()  # the next picture is written over them


def _check(model: Any, bundle: Bundle, path: Path) -> None:
    inputs = {
        one.get_any_name(): (
            [side.get_length() if side.is_static else None for side in one.get_partial_shape()],
            np.dtype(one.get_element_type().to_dtype()).name,
        )
        for one in model.inputs
    }
    check_signature(
        path, bundle.manifest, inputs=inputs, outputs={name for one in model.outputs for name in one.get_names()}
    )


def _from_pixels(model: Any, spec: InputSpec) -> Any:
    """Takes one picture in bytes and normalises it itself, which costs less than to do it in NumPy."""
    model.reshape([1, spec.height, spec.width, 3])
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean(list(spec.mean_rgb)).scale(
        list(spec.std_rgb)
    )
    return steps.build()


def _told(error: RuntimeError) -> str:
    """The last line; those before it name places in OpenVINO's source."""
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]
