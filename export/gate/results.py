"""What the gate found of each file, as gate.json keeps it."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vigie.adapters import explain
from vigie.bundle import FP16, FP32, GATE_FILE, INT8, ONNX, POSTPROCESS, SAVED_MODEL, Bundle
from vigie.errors import BadBundle
from vigie.export.gate.tolerances import Tolerance

_PREFERRED = (INT8, FP32, FP16, ONNX, SAVED_MODEL, POSTPROCESS)


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Kept):
    """A measured value, and where 95 % of the resamples lie."""

    value: float
    low: float
    high: float


class ClassResult(_Kept):
    """`lost` is against the checkpoint; None without true boxes. `lost_AP50` is there where it was asked for."""

    boxes: int
    AP: float | None
    AP50: float | None
    lost: float | None = None
    lost_AP50: Spread | None = None  # noqa: N815


class Measured(_Kept):
    """On the validation part, by the file's own runtime."""

    mAP: float | None  # noqa: N815 - COCO's name, as in metrics.json
    mAP50: float | None  # noqa: N815
    per_class: dict[str, ClassResult]


class FileResult(_Kept):
    """A file beside the checkpoint. `reasons` say why it is refused; without any it passed."""

    file: str
    runtime: str
    bytes: int
    tolerance: Tolerance
    measured: Measured | None = Field(description="None: it could not be run")
    boxes_px: float | None = Field(default=None, description="the largest difference of raw boxes scored .05 or more")
    boxes_compared: int = 0
    score: float | None = Field(default=None, description="the largest difference of a score")
    mAP_in_graph: float | None = Field(  # noqa: N815
        default=None, description="of the SavedModel's own decoding and suppression"
    )
    milliseconds: dict[int, float | None] = Field(default_factory=dict, description="a picture, by threads")
    quantisation_aware: bool = False
    reasons: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.reasons


class Asked(_Kept):
    """What was asked of the export beside the run."""

    precision: float | None = None
    qat: bool = True
    files: tuple[str, ...] = Field(default=(), description="those alone; all without any")


class Gate(_Kept):
    """`gate.json`."""

    format: Literal[1] = 1
    asked: Asked
    pictures: int
    checkpoint: Measured
    files: tuple[FileResult, ...]

    @property
    def refusals(self) -> tuple["Refusal", ...]:
        return tuple(Refusal(one.file, one.reasons) for one in self.files if not one.passed)

    @property
    def default(self) -> str | None:
        """The file to run where none is named: the fastest of those that passed; None when none did."""
        passed = {one.file for one in self.files if one.passed}
        return next((file for file in _PREFERRED if file in passed), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that is not in the bundle, and why not."""

    file: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: refused: {'; '.join(self.reasons)}"


def read_gate(bundle: Bundle) -> Gate:
    """Raises:
    BadBundle: it has none, as those of earlier versions, or it cannot be read.
    """
    path = bundle.file(GATE_FILE)
    try:
        return Gate.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadBundle(f"{explain(error, str(path))}; export the model again") from error
