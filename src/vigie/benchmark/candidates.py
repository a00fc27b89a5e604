"""What can be measured: each file of a model with each runtime that runs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vigie.bundle import INT8, POSTPROCESS, Bundle
from vigie.detectors import FOREIGN, runnable, runtimes_of
from vigie.errors import BadBundle

Precision = Literal["f32", "reduced", "int8"]
"""Of the arithmetic: single precision, bfloat16, eight-bit integers. Weights in fp16 are computed with in f32."""

PRECISIONS: tuple[Precision, ...] = ("f32", "reduced", "int8")

_ELSEWHERE = frozenset({"tf_serving"})  # on another machine
_OPENVINO: Mapping[str, Precision] = {"f32": "f32", "bf16": "reduced"}


@dataclass(frozen=True)
class Candidate:
    """A file with a runtime. `file` is None for a single file of somebody else; `deployable` ones may be chosen."""

    runtime: str
    file: str | None
    precision: Precision
    options: Mapping[str, str] = field(default_factory=dict)
    deployable: bool = True

    @property
    def name(self) -> str:
        """As tables call it."""
        more = f" {' '.join(self.options.values())}" if self.options else ""
        return f"{self.file}: {self.runtime}{more}" if self.file else f"{self.runtime}{more}"


def candidates_of(model: Path, bundle: Bundle | None) -> list[Candidate]:
    """Of a bundle, its default file first; of a single file of somebody else its one runtime.

    Raises:
        BadBundle: there is none.
    """
    if bundle is None:
        runtime = FOREIGN.get(model.suffix.lower())
        if runtime is None:
            raise BadBundle(f"{model}: is no bundle's folder, and of single files there are {', '.join(FOREIGN)}")
        return [Candidate(runtime, None, "f32")]
    found = [one for file in runnable(bundle) for runtime in runtimes_of(file) for one in _of(file, runtime)]
    if not found:
        raise BadBundle(f"{bundle.folder}: has no file that a runtime here could run; export the model again")
    return found


def precision_of_default(bundle: Bundle | None) -> Precision:
    """That of the file which runs where nothing was measured."""
    return "f32" if bundle is None else _precision(bundle.manifest.default)


def _of(file: str, runtime: str) -> list[Candidate]:
    if runtime in _ELSEWHERE:
        return []
    if runtime == "openvino":
        return [Candidate(runtime, file, kind, {"precision": asked}) for asked, kind in _OPENVINO.items()]
    # The boxes of the file for phones are found by another, class-agnostic way.
    return [Candidate(runtime, file, _precision(file), deployable=file != POSTPROCESS)]


def _precision(file: str) -> Precision:
    return "int8" if file == INT8 else "f32"
