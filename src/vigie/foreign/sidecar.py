"""`<model file>.yaml`: what a model file does not say of itself. Every entry may be left out."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vigie.adapters import explain
from vigie.anchors import AnchorSpec
from vigie.bundle import Share
from vigie.decoding import BoxCoding
from vigie.errors import BadSetting
from vigie.resizing import Resize, Triple

Activation: TypeAlias = Literal["none", "sigmoid", "softmax"]
BoxOrder: TypeAlias = Literal["yxyx", "xyxy"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSection(_Section):
    """Pixels of 0 to 255, less `mean`, divided by `std`: one number, or one a channel of red, green, blue."""

    mean: float | Triple | None = None
    std: float | Triple | None = None
    resize: Resize = "stretch"

    @model_validator(mode="after")
    def _both(self) -> "InputSection":
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std belong together")
        return self


class OutputSection(_Section):
    """Names of outputs, as the file gives them."""

    boxes: str | None = None
    scores: str | None = None
    classes: str | None = None
    count: str | None = None
    anchors: str | None = None


class RawSection(_Section):
    """How raw heads become boxes, where the file does not do it: N x 4 offsets from anchors and N x C scores.

    `coding` centre_size: offsets of the centre and logarithms of the sizes, divided by `weights` (y, x, height, width);
    corners: offsets of the corners in sizes of the anchor. `order` is that of the four numbers, in boxes and anchors.
    `anchors`: a grid; without one an output of the file, N x 4 corners in 0 to 1 of the input.
    """

    coding: BoxCoding = "centre_size"
    weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    order: BoxOrder = "yxyx"
    scores: Activation = Field(default="none", description="what makes probabilities of them")
    anchors: AnchorSpec | None = None


class Sidecar(_Section):
    labels: str | tuple[str, ...] | None = Field(default=None, description="a file beside the model, or the names")
    background: bool | None = Field(default=None, description="whether the first class, or score, is the background's")
    first_class: int = Field(default=0, description="the number of the first class, where the file decodes boxes")
    input: InputSection = InputSection()
    outputs: OutputSection = OutputSection()
    raw: RawSection | None = None
    order: BoxOrder = Field(default="yxyx", description="of the four numbers of boxes that the file decodes itself")
    score_threshold: Share = 0.5
    thresholds: dict[str, Share] = Field(default_factory=dict, description="of single labels")
    nms_iou: Annotated[Share | None, Field(description="boxes of one label that overlap by more are one object")] = None
    max_detections: int = Field(default=100, ge=1)


def sidecar_path(model: Path) -> Path:
    return model.with_name(f"{model.name}.yaml")


def read_sidecar(model: Path) -> Sidecar:
    """What stands beside the model file; the usual where nothing does.

    Raises:
        BadSetting: it cannot be read, or says what no sidecar says.
    """
    path = sidecar_path(model)
    if not path.is_file():
        return Sidecar()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Sidecar.model_validate(values or {})
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise BadSetting(f"{path}: cannot be read as YAML: {str(error).splitlines()[0]}") from error
    except ValidationError as error:
        raise BadSetting(explain(error, str(path))) from error
