"""What a training starts from: ImageNet weights, a run or a checkpoint; and the report of what was taken from it."""

import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from vigie.errors import BadRun, BadSetting
from vigie.experiment import Experiment, NetworkPart, load_experiment
from vigie.project import project_root
from vigie.runs import EXPERIMENT_FILE
from vigie.training.network.checkpoint_weights import Values, checkpoint_values, named_variables
from vigie.training.network.keras_weights import Found, downloaded_weights, file_weights
from vigie.training.network.model import newest_checkpoint

logger = logging.getLogger(__name__)

IMAGENET = "imagenet"
_CLASSIFIER = "head/scores/"
_TOLD = 4


@dataclass(frozen=True, slots=True)
class OtherShape:
    """A variable that source and network have in different shapes."""

    name: str
    source: tuple[int, ...]
    network: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} has shape {self.source} there and {self.network} here"


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What became of each variable, by names such as `backbone/block_3/conv0/kernel` and `fpn/lateral_3/bias`.

    `left_out` were in the source and not taken: the network has none such, or the classifier is of other classes.
    `not_in_source` and what `left_out` and `other_shape` share with the network start anew. `sizes` counts the
    network's variables by part; `note` says how the classes of both compare where that matters.
    """

    source: str
    loaded: tuple[str, ...]
    left_out: tuple[str, ...]
    not_in_source: tuple[str, ...]
    other_shape: tuple[OtherShape, ...]
    sizes: dict[str, int]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        """A few lines for a person."""
        loaded = Counter(name.partition("/")[0] for name in self.loaded)
        lines = [
            f"starts from {self.source}",
            "loaded: " + ", ".join(f"{part} {loaded[part]} of {size}" for part, size in self.sizes.items()),
        ]
        kinds: dict[str, Sequence[object]] = {
            "left out": self.left_out,
            "not in the source": self.not_in_source,
            "of other shape": self.other_shape,
        }
        lines += [f"{kind} ({len(names)}): {_first(names)}" for kind, names in kinds.items() if names]
        return "\n".join([*lines, *([self.note] if self.note else [])])


@dataclass(frozen=True, slots=True)
class _Source:
    """`needed` are the parts that must be there whole when the experiment does not say; `others` have other names."""

    name: str
    values: Values
    needed: tuple[NetworkPart, ...]
    others: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None


def initialise(network: tf_keras.Model, experiment: Experiment) -> RestoreReport | None:
    """Load the weights that the experiment's `training.init` names; None where it names none.

    Each variable is loaded that the source has under the same name in the same shape, but for the head's classifier
    where the source is a run of other classes or of the same in another order. Nothing is loaded when it fails.

    Raises:
        BadSetting: the source does not exist, cannot be read, is of another architecture, or lacks some of the parts
            that `training.init_parts` wants whole.
    """
    named = experiment.training.init
    if named is None:
        return None
    source = _source(named, experiment.model.backbone_width, _epsilon(network))
    variables = named_variables(network)
    report = _compared(source, variables, experiment.classes)
    asked = experiment.training.init_parts
    _refuse_less(report, source.needed if asked is None else asked)
    for name in report.loaded:
        variables[name].assign(source.values[name])
    logger.info("%s", report.as_text())
    if report.note:
        logger.warning("%s", report.note)
    return report


def _source(named: str, width: float, epsilon: float) -> _Source:
    if named == IMAGENET:
        return _of_keras(named, downloaded_weights(width, epsilon))
    path = project_root() / Path(named).expanduser()
    checkpoint = _checkpoint(path)
    if checkpoint is not None:
        return _Source(
            str(checkpoint), checkpoint_values(checkpoint), ("backbone", "fpn"), classes=_classes_of(checkpoint)
        )
    if path.is_file():
        return _of_keras(named, file_weights(path, epsilon))
    what = "holds no checkpoint" if path.exists() else "does not exist"
    raise BadSetting(
        f"training.init: {named} {what}; name a trained run, a checkpoint folder, a .h5 file of MobileNetV2, "
        f"{IMAGENET}, or none"
    )


def _of_keras(name: str, found: Found) -> _Source:
    return _Source(name, found.values, ("backbone",), others=found.others)


def _checkpoint(path: Path) -> Path | None:
    """A run's or a folder's checkpoint, the best first, or the one that is named; without its ending."""
    for place in (path / "checkpoints", path.with_suffix("") if path.suffix == ".index" else path):
        with contextlib.suppress(BadRun):
            return newest_checkpoint(place)
    return None


def _classes_of(checkpoint: Path) -> tuple[str, ...] | None:
    """Those of the run that the checkpoint is in."""
    for folder in list(checkpoint.parents)[:3]:
        if (folder / EXPERIMENT_FILE).is_file():
            try:
                return load_experiment(folder / EXPERIMENT_FILE).classes
            except BadSetting as error:
                logger.warning("the classes of %s are not known: %s", checkpoint, error)
    return None


def _epsilon(network: tf_keras.Model) -> float:
    norms = [layer for layer in network.backbone.submodules if isinstance(layer, tf_keras.layers.BatchNormalization)]
    (epsilon,) = {layer.epsilon for layer in norms}
    return float(epsilon)


def _compared(source: _Source, variables: dict[str, tf.Variable], classes: tuple[str, ...]) -> RestoreReport:
    other_classes = source.classes is not None and source.classes != classes
    both = [name for name in variables if name in source.values]
    foreign = {name for name in both if other_classes and name.startswith(_CLASSIFIER)}
    other_shape = [
        OtherShape(name, source.values[name].shape, tuple(variables[name].shape))
        for name in both
        if source.values[name].shape != tuple(variables[name].shape)
    ]
    unfit = foreign | {other.name for other in other_shape}
    loaded = tuple(name for name in both if name not in unfit)
    return RestoreReport(
        source=source.name,
        loaded=loaded,
        left_out=(
            *sorted(source.values.keys() - variables.keys() | (foreign - {other.name for other in other_shape})),
            *source.others,
        ),
        not_in_source=tuple(name for name in variables if name not in source.values),
        other_shape=tuple(other_shape),
        sizes=dict(Counter(name.partition("/")[0] for name in variables)),
        note=_note(source, classes, loaded),
    )


def _note(source: _Source, classes: tuple[str, ...], loaded: Sequence[str]) -> str:
    if source.classes is not None and source.classes != classes:
        return (
            f"Classes of data and checkpoint differ: the data have {', '.join(classes)}, {source.name} has "
            f"{', '.join(source.classes)}; the head's classifier starts anew"
        )
    if source.classes is None and any(name.startswith(_CLASSIFIER) for name in loaded):
        return f"The classes of {source.name} are not known; its classifier was taken, as there are as many"
    return ""


def _refuse_less(report: RestoreReport, wanted: Sequence[NetworkPart]) -> None:
    for part in wanted:
        loaded = sum(name.startswith(f"{part}/") for name in report.loaded)
        if loaded == report.sizes[part]:
            continue
        reasons = [
            *(f"{name} is of other classes" for name in report.left_out if name.startswith(_CLASSIFIER)),
            *(str(other) for other in report.other_shape),
            *(f"{name} is not there" for name in report.not_in_source),
        ]
        raise BadSetting(
            f"training.init: {report.source}: only {loaded} of {report.sizes[part]} variables of the {part} can be "
            f"loaded, which must be whole: {_first([why for why in reasons if why.startswith(f'{part}/')])}; give the "
            f"model the source's width, filters, convolutions, levels and classes, take another source, or name other "
            f"parts in training.init_parts{'. ' + report.note if report.note else ''}"
        )


def _first(names: Sequence[object]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(str(name) for name in names[:_TOLD]) + more
