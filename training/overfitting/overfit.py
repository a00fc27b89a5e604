"""Whether a model can learn a few pictures by heart: the first thing to ask when mAP stays at 0.

A network that cannot do that has a fault: in the labels, the anchors, the loss or the network. Which part does not
learn is told in words, from the losses, the gradients and the errors on these pictures.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vigie.data.fit_anchors import with_fitted_anchors
from vigie.data.parts import Sample
from vigie.data.prepare import read_part
from vigie.data.quiet import quiet_tensorflow
from vigie.errors import BadData
from vigie.experiment import Experiment
from vigie.training.usable import check_classes

logger = logging.getLogger(__name__)

GOOD_MAP50 = 0.99


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` say which part does not learn, empty where all do.

    `curve` has a row an evaluation: step, and mAP50 on the pictures themselves.
    """

    learns: bool
    map50: float
    steps: int
    seconds: float
    pictures: tuple[str, ...]
    curve: tuple[tuple[int, float], ...]
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        """A few lines for a person."""
        reached = (
            f"mAP50 {self.map50:.3f} on {len(self.pictures)} pictures after {self.steps} steps, {self.seconds:.0f} s"
        )
        if self.learns:
            return f"{reached}: every part learns"
        return "\n".join(
            [f"{reached}; {GOOD_MAP50} is what a sound model reaches:", *(f"- {one}" for one in self.reasons)]
        )


def overfit(
    records: Path, experiment: Experiment, *, pictures: int = 10, minutes: float = 5.0, progress: bool = True
) -> Verdict:
    """Train the experiment's model on a few training pictures, without augmentation, until it knows them.

    Those that show the most classes are taken. Nothing of it is kept, no run is touched. The rate is one of its own;
    what it starts from and what is frozen is as the experiment says.

    Raises:
        BadData: the records are missing, half-made, of other classes or hold fewer pictures with objects.
        BadSetting: the initial weights are not there or do not fit.
    """
    check_classes(records, experiment)
    experiment = with_fitted_anchors(records, experiment)
    samples = chosen(records, pictures)
    quiet_tensorflow()
    from vigie.training.overfitting.loop import learn_by_heart  # noqa: PLC0415 - TensorFlow is quiet only when told before

    verdict = learn_by_heart(records, experiment, samples, seconds=60 * minutes, progress=progress)
    logger.info("overfit: %s", json.dumps({**verdict.to_json(), "curve": None}))
    return verdict


def chosen(records: Path, count: int) -> list[Sample]:
    """The training pictures with the most classes, among them those with the fewest boxes, by name.

    Raises:
        BadData: there are fewer with objects.
    """
    boxes = pd.read_csv(records / "train_labels.csv", usecols=["filename", "class"], dtype=str, keep_default_na=False)
    shown = boxes.groupby("filename")["class"].agg(["nunique", "size"]).reset_index()
    if count < 1 or len(shown) < count:
        raise BadData(f"{records}: {len(shown)} training pictures show objects, {count} are to be learnt by heart")
    ordered = shown.sort_values(["nunique", "size", "filename"], ascending=[False, True, True])
    wanted = set(ordered["filename"].head(count))
    return _named(records, wanted)


def _named(records: Path, wanted: set[str]) -> list[Sample]:
    found: list[Sample] = []
    for sample in read_part(records, "train"):
        if sample.filename in wanted and sample.objects:
            found.append(sample)
            if len(found) == len(wanted):
                break
    return found


def names(samples: Sequence[Sample]) -> tuple[str, ...]:
    return tuple(sample.filename for sample in samples)
