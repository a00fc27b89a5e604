"""Anchors that were fitted to the boxes of a run because its experiment says `anchors: auto`.

They lie in runs/<name>/anchors.yaml and not in the experiment, which keeps the wish: they are fitted anew when the
pictures or the input change.
"""

import hashlib
import json
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from vigie.anchors import AnchorSpec
from vigie.experiment import Experiment
from vigie.whole import write_whole

FITTED_FILE = "anchors.yaml"


class FittedAnchors(BaseModel):
    """What the numbers were fitted to stands with them: others are not taken for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anchors: AnchorSpec
    asked: str = Field(description="what the experiment says that they depend on; see `what_is_asked`")
    pictures: str = Field(description="the hash of the annotated pictures")


def what_is_asked(experiment: Experiment) -> str:
    """Names what of an experiment decides which boxes there are, and their size at the input."""
    model = experiment.model
    values = experiment.digest("classes", "split"), model.input_width, model.input_height, model.resize
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def read_fitted(path: Path, experiment: Experiment) -> FittedAnchors | None:
    """None where there are none, none that can be read, or those of an experiment that asked for something else."""
    try:
        found = FittedAnchors.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return found if found.asked == what_is_asked(experiment) else None


def write_fitted(path: Path, fitted: FittedAnchors, why: str) -> None:
    """`why` is one line for the person who opens the file."""
    comment = (
        f"# {why}\n# Made because the experiment says `anchors: auto`. To choose other numbers, write them there: this "
        "file is made anew.\n"
    )
    write_whole(path, comment + yaml.safe_dump(fitted.model_dump(mode="json"), sort_keys=False))
