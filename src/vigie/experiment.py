"""An experiment: what a person changes from one training to the next, as a YAML file that is saved with the run."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from vigie.adapters import explain
from vigie.anchors import AnchorSpec
from vigie.errors import BadSetting

Label = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _kind_of_anchors(value: Any) -> str | None:
    if isinstance(value, str):
        return "auto" if value == "auto" else None
    return ""  # adds nothing to the place that an error names


# Told apart before they are looked at, so that an error of the one does not come with one of the other.
Anchors: TypeAlias = Annotated[
    Annotated[AnchorSpec, Tag("")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(
        _kind_of_anchors,
        custom_error_type="anchors",
        custom_error_message="anchors are auto, or a mapping of min_level, max_level, scales, aspect_ratios and size",
    ),
]


class ModelSpec(_Section):
    """SSD MobileNet V2 FPNLite: the defaults are those of the TensorFlow detection zoo at 320x320."""

    input_width: int = Field(default=320, ge=64, le=1536, multiple_of=32, description="pixels")
    input_height: int = Field(default=320, ge=64, le=1536, multiple_of=32, description="pixels")
    resize: Literal["stretch", "letterbox"] = Field(
        default="stretch", description="letterbox keeps the aspect ratio and fills the rest with grey"
    )
    backbone_width: float = Field(default=1.0, ge=0.35, le=1.4, description="MobileNetV2's width multiplier, alpha")
    fpn_filters: int = Field(default=128, ge=16, le=256)
    head_convs: int = Field(default=4, ge=1, le=6)
    anchors: Anchors = Field(
        default=AnchorSpec(), description="auto: fitted to the boxes of the training pictures by k-means"
    )

    @property
    def grid(self) -> AnchorSpec:
        """The anchors in numbers.

        Raises:
            BadSetting: they are auto, and were not fitted yet.
        """
        if isinstance(self.anchors, AnchorSpec):
            return self.anchors
        raise BadSetting(
            "model.anchors: auto: they are fitted to the boxes of a run when its pictures are prepared; "
            "run `make data` or notebook 01_data first, or write them down"
        )


NetworkPart = Literal["backbone", "fpn", "head"]


class Assignment(_Section):
    """Which anchors answer for an object."""

    method: Literal["iou", "atss"] = Field(
        default="iou", description="iou: by thresholds; atss: adaptive (Zhang et al. 2020, arXiv:1912.02424)"
    )
    positive_iou: float = Field(default=0.5, gt=0, lt=1, description="of iou: an anchor that overlaps more is positive")
    negative_iou: float = Field(default=0.5, gt=0, lt=1, description="of iou: less is background, between is ignored")
    atss_candidates: int = Field(default=9, ge=1, description="nearest cells a level whose anchors are looked at")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.negative_iou > self.positive_iou:
            raise ValueError(f"negative_iou {self.negative_iou} is above positive_iou {self.positive_iou}")
        return self


class Loss(_Section):
    """What is minimised: classification + box_weight * box."""

    classification: Literal["focal", "varifocal"] = Field(
        default="focal", description="varifocal: Zhang et al. 2021, arXiv:2008.13367"
    )
    focal_alpha: float = Field(default=0.25, gt=0, lt=1)
    focal_gamma: float = Field(default=2.0, ge=0)
    varifocal_alpha: float = Field(default=0.75, gt=0)
    varifocal_gamma: float = Field(default=2.0, ge=0)
    box: Literal["huber", "giou", "diou"] = Field(
        default="huber", description="giou: arXiv:1902.09630; diou: arXiv:1911.08287"
    )
    huber_delta: float = Field(default=1.0, gt=0)
    box_weight: float = Field(default=1.0, gt=0)


class Schedule(_Section):
    """What it starts from, how long and how fast it learns."""

    steps: int = Field(ge=1)
    batch: int = Field(default=8, ge=1, description="pictures a step, of all devices together")
    init: str | None = Field(
        default=None,
        description="imagenet (MobileNetV2's weights, downloaded by Keras), a .h5 file of them, a run, or a checkpoint "
        "folder; none: from scratch",
    )
    init_parts: tuple[NetworkPart, ...] | None = Field(
        default=None,
        description="which must be loaded whole; none: of .h5 weights the backbone, of a checkpoint backbone and fpn, "
        "and the head where it fits",
    )
    frozen: tuple[NetworkPart, ...] = Field(default=(), description="which keep their weights")
    optimizer: Literal["adam", "sgd"] = Field(default="adam", description="sgd with Nesterov momentum .9")
    learning_rate: float = Field(default=0.003, gt=0, description="the peak; it falls to 0 as a cosine")
    rates: dict[NetworkPart, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="factors of the learning rate, such as {backbone: 0.1}"
    )
    warmup_steps: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled, of kernels only")
    clip_norm: float | None = Field(default=None, gt=0, description="of all gradients together; none: not clipped")
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="of averaged weights, which are then validated and exported; 0: off"
    )
    checkpoint_every: int = Field(default=300, ge=1, description="steps")
    validate_every: int | None = Field(default=None, ge=1, description="steps; none: at every checkpoint")
    patience: int = Field(default=0, ge=0, description="validations without a better mAP before it stops; 0: never")
    max_loss: float = Field(default=1000.0, gt=0, description="above it, as at NaN, it goes back to a checkpoint")
    rollbacks: int = Field(default=3, ge=0, description="how often, each time with half the rate, before it gives up")
    seed: int = 1

    @model_validator(mode="after")
    def _something_learns(self) -> Self:
        if set(self.frozen) == set(get_args(NetworkPart)):
            raise ValueError("frozen: all parts are frozen, nothing could learn")
        return self


class Hardware(_Section):
    """What it is trained on. None of it changes what is learnt, so a training goes on on other hardware."""

    strategy: Literal["auto", "one", "mirrored", "multi_worker"] = Field(
        default="auto",
        description="auto: all GPUs that there are, else the processor; multi_worker: as TF_CONFIG says",
    )
    precision: Literal["auto", "float32", "bfloat16_gradients", "mixed_bfloat16", "mixed_float16"] = Field(
        default="auto",
        description="auto: mixed_float16 on a GPU, else bfloat16_gradients (of convolutions, all else float32) where "
        "the processor multiplies bfloat16, else float32",
    )


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


class CompositeOf(_Section):
    """What looks like `upper` above and `lower` below: with a mask that slipped, a bare face above a masked one."""

    upper: Label
    lower: Label
    makes: Label


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
    paste: Chance = Field(
        default=0.0,
        description="an object of another picture put onto it, of a class rare by balance.threshold",
    )
    composite: Chance = Field(
        default=0.0, description="an object of a class made of two others, see composite_of, where a picture has both"
    )
    composite_of: CompositeOf | None = None

    @model_validator(mode="after")
    def _composite_is_known(self) -> Self:
        if self.composite and self.composite_of is None:
            raise ValueError("composite: composite_of is missing, such as {upper: bare, lower: masked, makes: slipped}")
        return self


class About(_Section):
    """What the model card tells those who are handed the model; nothing is computed from it."""

    source: str | None = Field(default=None, description="where the pictures come from")
    data_licence: str | None = Field(default=None, description="of the pictures and their boxes")
    weights_licence: str | None = Field(default=None, description="of what is trained")


class Experiment(_Section):
    """All that a person chooses about a training. Frozen; `overridden` makes another."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    data: Literal["synthetic"] | None = Field(default=None, description="the set to draw where none is given")
    classes: tuple[Label, ...] = Field(min_length=1, description="in the order of the model's outputs")
    model: ModelSpec = ModelSpec()
    assignment: Assignment = Assignment()
    loss: Loss = Loss()
    training: Schedule
    hardware: Hardware = Hardware()
    split: Split = Split()
    balance: Balance = Balance()
    augmentation: Augmentation = Augmentation()
    about: About | None = Field(default=None, description="for the model card")

    @model_validator(mode="after")
    def _composite_of_classes(self) -> Self:
        of = self.augmentation.composite_of
        if of is not None and (unknown := sorted({of.upper, of.lower, of.makes} - set(self.classes))):
            raise ValueError(f"augmentation.composite_of: {', '.join(unknown)} is not among the classes {self.classes}")
        return self

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes stand twice in {list(self.classes)}")
        return self

    def with_anchors(self, spec: AnchorSpec) -> "Experiment":
        """The same experiment with anchors in numbers."""
        return self.model_copy(update={"model": self.model.model_copy(update={"anchors": spec})})

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
