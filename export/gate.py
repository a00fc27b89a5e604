"""The gate: what a file must show before it is published, and what is kept of it in gate.json."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vigie.adapters import explain
from vigie.bundle import FP16, FP32, GATE_FILE, INT8, ONNX, POSTPROCESS, SAVED_MODEL, Bundle
from vigie.errors import BadBundle
from vigie.export.differences import Differences
from vigie.export.tolerances import FEWEST_BOXES, Tolerance
from vigie.training.evaluation import Evaluation
from vigie.training.metrics.bootstrap import Bootstrap, paired_difference

_NAMED_CLASSES = 5
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


@dataclass(frozen=True, slots=True)
class Ran:
    """What a file did on the validation part."""

    evaluation: Evaluation
    differences: Differences | None = None
    in_graph: Evaluation | None = None


def read_gate(bundle: Bundle) -> Gate:
    """Raises:
    BadBundle: it has none, as those of earlier versions, or it cannot be read.
    """
    path = bundle.file(GATE_FILE)
    return _read(path)


def _read(path: Path) -> Gate:
    try:
        return Gate.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadBundle(f"{explain(error, str(path))}; export the model again") from error


def judge(checkpoint: Evaluation, ran: Ran, tolerance: Tolerance) -> tuple[Measured, tuple[str, ...]]:
    """A file's numbers, and the reasons to refuse it: none when it does what the checkpoint does."""
    paired = None
    if tolerance.class_AP50 is not None:
        paired = paired_difference(checkpoint.matches, ran.evaluation.matches, checkpoint.pictures)
    measured = measure(ran.evaluation, checkpoint, paired)
    reasons = [
        *_too_far(ran.differences, tolerance),
        *_lost_map(checkpoint, ran.evaluation, tolerance, "mAP"),
        *([] if ran.in_graph is None else _lost_map(checkpoint, ran.in_graph, tolerance, "mAP of its own detections")),
        *_lost_classes(measured, tolerance),
    ]
    return measured, tuple(reasons)


def measure(evaluation: Evaluation, checkpoint: Evaluation | None = None, paired: Bootstrap | None = None) -> Measured:
    """The numbers that are kept; `paired` is the checkpoint's evaluation minus the file's."""
    lost = {} if paired is None else dict(zip(evaluation.per_class, paired.ap50, strict=True))
    per_class = {}
    for label, found in evaluation.per_class.items():
        before = None if checkpoint is None else checkpoint.per_class[label].ap
        interval = lost.get(label)
        per_class[label] = ClassResult(
            boxes=found.count,
            AP=found.ap,
            AP50=found.ap50,
            lost=None if before is None or found.ap is None else before - found.ap,
            lost_AP50=None if interval is None else Spread(**asdict(interval)),
        )
    return Measured(mAP=evaluation.coco["mAP"], mAP50=evaluation.coco["mAP50"], per_class=per_class)


def _too_far(found: Differences | None, tolerance: Tolerance) -> list[str]:
    if found is None:
        return []
    reasons = []
    if tolerance.boxes_px is not None and not found.boxes_px <= tolerance.boxes_px:
        reasons.append(
            f"a box lies {found.boxes_px:.4g} px off the checkpoint's at the input's size, "
            f"{tolerance.boxes_px:g} px are allowed"
        )
    if tolerance.score is not None and not found.score <= tolerance.score:
        reasons.append(f"a score is {found.score:.4g} off the checkpoint's, {tolerance.score:g} is allowed")
    return reasons


def _lost_map(checkpoint: Evaluation, found: Evaluation, tolerance: Tolerance, name: str) -> list[str]:
    before, after = checkpoint.coco["mAP"], found.coco["mAP"]
    if before is None or after is None:
        return []  # without a true box there is nothing to lose
    lost = before - after
    if lost > tolerance.mAP:
        return [
            f"{name} is {after:.4f}, {lost:.4f} under the checkpoint's {before:.4f}, {tolerance.mAP:g} is allowed; "
            f"AP lost: {_by_class(checkpoint, found)}"
        ]
    if tolerance.either_way and -lost > tolerance.mAP:
        return [
            f"{name} is {after:.4f}, {-lost:.4f} over the checkpoint's {before:.4f}: it is another model, "
            f"{tolerance.mAP:g} is allowed"
        ]
    return []


def _by_class(checkpoint: Evaluation, found: Evaluation) -> str:
    """The classes that lost, the one that lost most first."""
    lost = {
        label: one.ap - found.per_class[label].ap  # type: ignore[operator]
        for label, one in checkpoint.per_class.items()
        if one.ap is not None
    }
    worst = sorted((label for label in lost if lost[label] > 0), key=lambda label: -lost[label])
    said = [f"{label} {lost[label]:.4f}" for label in worst[:_NAMED_CLASSES]]
    more = len(worst) - len(said)
    return ", ".join(said) + (f" and {more} classes more" if more else "")


def _lost_classes(measured: Measured, tolerance: Tolerance) -> list[str]:
    if tolerance.class_AP50 is None:
        return []
    return [
        f"{label} loses {one.lost_AP50.value:.4f} AP50 on {one.boxes} boxes, 95 %: {one.lost_AP50.low:.4f} to "
        f"{one.lost_AP50.high:.4f}, which lies wholly beyond {tolerance.class_AP50:g}"
        for label, one in measured.per_class.items()
        if one.lost_AP50 is not None and one.boxes >= FEWEST_BOXES and one.lost_AP50.low > tolerance.class_AP50
    ]


def passed_files(files: Sequence[FileResult]) -> Mapping[str, FileResult]:
    return {one.file: one for one in files if one.passed}
