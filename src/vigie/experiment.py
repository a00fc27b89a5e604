"""An experiment: what a person changes from one training to the next, as a YAML file that is saved with the run."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vigie.adapters import explain
from vigie.anchors import AnchorSpec
from vigie.errors import BadSetting

Label = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSpec(_Section):
    """SSD MobileNet V2 FPNLite: the defaults are those of the TensorFlow detection zoo at 320x320."""

    input_width: int = Field(default=320, ge=64, le=1536, multiple_of=32, description="pixels")
    input_height: int = Field(default=320, ge=64, le=1536, multiple_of=32, description="pixels")
    backbone_width: float = Field(default=1.0, ge=0.35, le=1.4, description="MobileNetV2's width multiplier, alpha")
    fpn_filters: int = Field(default=128, ge=16, le=256)
    head_convs: int = Field(default=4, ge=1, le=6)
    anchors: AnchorSpec = AnchorSpec()


class Schedule(_Section):
    """How long and how fast it learns."""

    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=1, description="pictures a step")
    learning_rate: float = Field(default=0.003, gt=0, description="Adam's peak; it falls to 0 as a cosine")
    warmup_steps: int = Field(default=100, ge=0)
    initial_weights: str | None = Field(
        default=None, description="a run or a checkpoint folder to start from; none: from scratch"
    )
    checkpoint_every: int = Field(default=300, ge=1, description="steps")
    seed: int = 1


class Split(_Section):
    """Which pictures are for training, for validation and for the test at the end."""

    seed: int = 1
    validation: float = Field(default=0.15, gt=0, lt=1, description="share of the pictures")
    test: float = Field(default=0.15, gt=0, lt=1, description="share of the pictures")
    lists: str = Field(
        default="auto",
        description="auto: the set's own ImageSets/Main where it has them, else drawn; none: always drawn; "
        "or a folder with train.txt, val.txt and test.txt, or a CSV of filename and part",
    )

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        return self


class Balance(_Section):
    """What is done for classes that few pictures show. No picture is copied."""

    method: Literal["none", "repeat_factors", "class_weights"] = Field(
        default="none",
        description="repeat_factors: pictures of rare classes are seen more often; class_weights: they count for more",
    )
    threshold: float = Field(
        default=0.3, gt=0, le=1, description="a class on a smaller share of the pictures is rare (LVIS's t)"
    )


Chance = Annotated[float, Field(ge=0, le=1, strict=True)]


class Augmentation(_Section):
    """What the input pipeline does to a training picture, anew each time. Plain numbers are probabilities; 0 is off."""

    flip: Chance = Field(default=0.5, description="mirrored, left to right")
    crop: Chance = Field(default=0.0, description="SSD's random crop")
    crop_min_overlaps: tuple[float, ...] = Field(
        default=(0.1, 0.3, 0.5, 0.7, 0.9),
        min_length=1,
        description="share of an object to show, one is drawn",
    )
    scale: Chance = Field(default=1.0, description="smaller or larger")
    scale_min: float = Field(default=0.8, gt=0, le=1)
    scale_max: float = Field(default=1.25, ge=1)
    colour: Chance = Field(default=0.0, description="brightness, contrast, saturation and hue")
    colour_strength: float = Field(default=0.2, gt=0, le=1)
    blur: Chance = Field(default=0.0, description="Gaussian")
    blur_max_sigma_px: float = Field(default=1.5, gt=0, le=5, description="at the input size")
    jpeg: Chance = Field(default=0.0, description="the noise of a low JPEG quality")
    jpeg_min_quality: int = Field(default=40, ge=5, le=95)
    mosaic: Chance = Field(default=0.0, description="four pictures in one")


class Experiment(_Section):
    """Classes, model, schedule, split, balance and augmentation. Frozen; `overridden` makes another."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    data: Literal["synthetic"] | None = Field(default=None, description="the set to draw where none is given")
    classes: tuple[Label, ...] = Field(min_length=1, description="in the order of the model's outputs")
    model: ModelSpec = ModelSpec()
    training: Schedule
    split: Split = Split()
    balance: Balance = Balance()
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes stand twice in {list(self.classes)}")
        return self

    def overridden(self, *, steps: int | None = None) -> "Experiment":
        """The same experiment with other numbers of steps; a checkpoint is made at least at the end."""
        if steps is None:
            return self
        return Experiment.model_validate(
            {**self.model_dump(), "training": {**self.training.model_dump(), "steps": steps}}
        )

    def digest(self, *sections: str) -> str:
        """A hash of these sections (of all without any), the same for the same values however they were written."""
        values = self.model_dump(mode="json", include=set(sections) if sections else None)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_experiment(path: Path) -> Experiment:
    """Read an experiment.

    Raises:
        BadSetting: no such file, not YAML, or a value that is missing, misspelt or out of range.
    """
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(sorted(found.name for found in path.parent.glob("[!.]*.yaml"))) or "no experiment"
        raise BadSetting(f"{path}: there is no such experiment; its folder holds {known}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSetting(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise BadSetting(f"{path}: an experiment is a mapping of name, classes, training ...; found {values!r:.40}")
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        raise BadSetting(explain(error, str(path))) from error
