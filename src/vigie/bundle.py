"""A model bundle: the folder that an export makes, and the only thing that training and the camera side share.

models/<name>/<N>/
    saved_model.pb, variables/    TF Serving's version folder, with assets.extra/tf_serving_warmup_requests
    model_fp32.tflite             raw heads for LiteRT, in three precisions: also _fp16, _int8
    model_postprocess.tflite      boxes found inside, for phones and MediaPipe
    model.onnx                    raw heads for ONNX Runtime and OpenVINO
    gate.json                     how each file was judged beside the checkpoint
    labels.txt                    one a line, in the order of the scores
    manifest.json                 what the files are and how to use them: `Manifest`
    README.md                     the model card; no hash is kept of it, so that a person may add to it
    card/                         the pictures and numbers that it shows; no hash is kept of them either
    trial/                        pictures to try it on, where the set may be shown

A file that did not pass the gate is not there.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vigie.adapters import explain
from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.decoding import Decoder
from vigie.errors import BadBundle
from vigie.resizing import Resize, Triple

MANIFEST_FILE = "manifest.json"
LABELS_FILE = "labels.txt"
CARD_FILE = "README.md"
CARD_FOLDER = "card"
GATE_FILE = "gate.json"
SAVED_MODEL = "saved_model.pb"
FP32 = "model_fp32.tflite"
FP16 = "model_fp16.tflite"
INT8 = "model_int8.tflite"
POSTPROCESS = "model_postprocess.tflite"
ONNX = "model.onnx"

FORMAT: Literal[1] = 1
"""Of the manifest; another one cannot be read."""

Share = Annotated[float, Field(ge=0, le=1)]
Label = Annotated[str, Field(pattern=r"^\S(.*\S)?$", description="one line, no space at its ends")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(_Section):
    """What the model takes: `width` x `height` pixels of 0 to 255, less `mean_rgb`, divided by `std_rgb`."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    resize: Resize = Field(
        default="stretch", description="letterbox: the aspect ratio kept, in the middle, grey of 114 around"
    )
    mean_rgb: Triple
    std_rgb: Triple


class OutputSpec(_Section):
    """By which names the files give raw boxes (B x N x 4) and scores (B x N x labels)."""

    boxes: str = "raw_boxes"
    scores: str = "scores"


class FileEntry(_Section):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class ThresholdFacts(_Section):
    """How the threshold of a label was chosen on validation, with where 95 % of the resamples lie."""

    threshold: Share
    low: Share
    high: Share
    chosen_by: str = Field(description='"best F1", or "precision 0.90"')
    precision: Share | None
    recall: Share | None
    boxes: int = Field(ge=0, description="true ones on validation")


class ModelFacts(_Section):
    """What the maker of a bundle knows of its model; the rest of the manifest follows from the files."""

    default: str = Field(description="the file to run where none is named")
    labels: tuple[Label, ...] = Field(min_length=1)
    input: InputSpec
    outputs: OutputSpec = OutputSpec()
    anchors: AnchorSpec
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    score_threshold: Share = 0.5
    thresholds: dict[str, Share] = Field(default_factory=dict, description="of single labels")
    chosen_thresholds: dict[str, ThresholdFacts] = Field(default_factory=dict, description="why they are these")
    nms_iou: Share = 0.5
    max_detections: int = Field(default=100, ge=1)
    metrics: dict[str, dict[str, float | None]] = Field(default_factory=dict, description="of each file that runs")
    data_hash: str
    training_key: str
    code: str = Field(description="the version that made it, with its commit where it is known")
    trial_source: str = Field(description="what to try it on; a path is relative to the bundle")
    step: int = Field(ge=0, description="of the training")

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels stand twice in {list(self.labels)}")
        if unknown := sorted(self.thresholds.keys() - set(self.labels)):
            raise ValueError(f"there are thresholds for {unknown}, which are no labels")
        return self


class Manifest(ModelFacts):
    """`manifest.json`. Times are UTC; paths are relative to the bundle, with `/`."""

    format: Literal[1] = FORMAT
    name: str
    version: int = Field(ge=0, description="the folder's number; 0 while it is being made")
    made_at: AwareDatetime
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _files_agree(self) -> Self:
        for path in self.files:
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"files: {path} lies outside the bundle")
        for named in (self.default, *self.metrics, LABELS_FILE):
            if named not in self.files:
                raise ValueError(f"{named} is not among the files {sorted(self.files)}")
        return self


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was opened."""

    folder: Path
    manifest: Manifest

    def file(self, name: str | None = None) -> Path:
        """The path of a file that the manifest lists; of the default one without a name.

        Raises:
            BadBundle: it lists no such file.
        """
        chosen = name or self.manifest.default
        if chosen not in self.manifest.files:
            raise BadBundle(f"{self.folder}: has no file {chosen}; it has {', '.join(sorted(self.manifest.files))}")
        return self.folder / chosen

    def decoder(self, score_threshold: float | None = None) -> Decoder:
        """With the manifest's thresholds; `score_threshold` replaces them all, those of single labels too."""
        facts = self.manifest
        return Decoder(
            labels=facts.labels,
            input_width=facts.input.width,
            input_height=facts.input.height,
            anchors=anchors_yxyx_px(facts.anchors, facts.input.width, facts.input.height),
            box_weights=facts.box_weights,
            score_threshold=facts.score_threshold if score_threshold is None else score_threshold,
            thresholds=dict(facts.thresholds) if score_threshold is None else {},
            nms_iou=facts.nms_iou,
            max_detections=facts.max_detections,
            resize=facts.input.resize,
        )

    def trial_source(self) -> str:
        """A source's spec; a path in the bundle is given in full."""
        inside = self.folder / self.manifest.trial_source
        return str(inside) if inside.exists() else self.manifest.trial_source


def open_bundle(folder: Path, *, verify: bool = True) -> Bundle:
    """Open `models/<name>/<N>`, or the newest version in `models/<name>`. `verify` compares every file's hash.

    Raises:
        BadBundle: there is none, or its files and its manifest disagree.
    """
    if not (folder / MANIFEST_FILE).is_file():
        folder = _newest_version(folder)
    bundle = Bundle(folder, _read_manifest(folder / MANIFEST_FILE))
    if verify:
        _verify(bundle)
    return bundle


def newest_bundle(models: Path) -> Bundle:
    """The bundle in `models/<name>/<N>` that was made last, by its manifest.

    Raises:
        BadBundle: there is none, or one of the manifests cannot be read.
    """
    found = [open_bundle(folder, verify=False) for name in _folders(models) for folder in _versions(name)]
    if not found:
        raise BadBundle(f"{models}: holds no model bundle; make one with `make export` first")
    return open_bundle(max(found, key=lambda bundle: bundle.manifest.made_at).folder)


def _newest_version(folder: Path) -> Path:
    if not folder.is_dir():
        raise BadBundle(f"{folder}: there is no such model bundle; make one with `make export`")
    versions = _versions(folder)
    if not versions:
        raise BadBundle(
            f"{folder}: is no model bundle: it holds neither {MANIFEST_FILE} nor numbered versions with one; "
            "name a folder such as models/<name>, or make one with `make export`"
        )
    return max(versions, key=lambda version: int(version.name))


def _folders(parent: Path) -> Iterator[Path]:
    return (child for child in sorted(parent.glob("*")) if child.is_dir() and not child.name.startswith("."))


def numbered(parent: Path) -> Iterator[Path]:
    return (child for child in _folders(parent) if child.name.isascii() and child.name.isdigit())


def _versions(parent: Path) -> list[Path]:
    return [child for child in numbered(parent) if (child / MANIFEST_FILE).is_file()]


def _read_manifest(path: Path) -> Manifest:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BadBundle(f"{path}: cannot be read: {error.strerror}") from error
    _refuse_other_format(path, text)
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BadBundle(f"{explain(error, str(path))}; export the model again") from error


def _refuse_other_format(path: Path, text: bytes) -> None:
    """Before anything else is looked at: in another format everything may be otherwise."""
    try:
        values = json.loads(text)
    except ValueError:
        return  # which is told with its place
    found = values.get("format", FORMAT) if isinstance(values, dict) else FORMAT
    if found == FORMAT:
        return
    if isinstance(found, int) and found > FORMAT:
        what, how = "a newer Vigie", "install that one, or export the model again with this one"
    else:
        what, how = "an older Vigie", "export the model again"
    made_by = values.get("code")
    version = f" ({made_by})" if isinstance(made_by, str) else ""
    raise BadBundle(f"{path}: has the format {found!r}, made by {what}{version}; this one reads {FORMAT}: {how}")


def _verify(bundle: Bundle) -> None:
    for name, entry in bundle.manifest.files.items():
        path = bundle.folder / name
        if not path.is_file():
            raise BadBundle(f"{path}: is missing, and {MANIFEST_FILE} lists it; export or copy the bundle again")
        found = sha256_of(path)
        if found != entry.sha256:
            raise BadBundle(
                f"{path}: was changed after its export: its {path.stat().st_size} bytes have the sha256 {found[:12]}…, "
                f"{MANIFEST_FILE} expects {entry.bytes} with {entry.sha256[:12]}…; export or copy the bundle again"
            )
    labels = tuple((bundle.folder / LABELS_FILE).read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    if labels != bundle.manifest.labels:
        raise BadBundle(
            f"{bundle.folder / LABELS_FILE}: has the labels {list(labels)}, {MANIFEST_FILE} expects "
            f"{list(bundle.manifest.labels)}; export the model again"
        )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
