"""An experiment that was proposed from the data, and why it is as it is."""

import json
import re
import textwrap
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vigie.errors import BadRun
from vigie.experiment import Experiment

_WIDTH = 110
_ONE_LINE = 10_000  # a label that were folded could be taken for a field


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a field of the experiment is proposed as it is; `field` is its path, such as `model.anchors`."""

    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.field}: {self.why}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An experiment with the reasons of its fields, in the order in which a person asks for them."""

    experiment: Experiment
    reasons: tuple[Reason, ...]

    def overridden(self, *, steps: int | None = None) -> "Proposal":
        """The same with a number of steps that was asked for."""
        if steps is None:
            return self
        others = {"training.steps": f"{steps}, as asked for"}
        reasons = (Reason(reason.field, others.get(reason.field, reason.why)) for reason in self.reasons)
        return Proposal(self.experiment.overridden(steps=steps), tuple(reasons))

    def to_yaml(self) -> str:
        """The experiment, above each field its reason."""
        reasons = {reason.field: reason.why for reason in self.reasons}
        lines = [
            "# Proposed from the pictures, each line with its reason. Edit what you know better: the next run of this",
            "# name uses it, and what depends on the edit is done again.",
            *_commented(self.experiment.model_dump(mode="json"), reasons, ""),
        ]
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        reasons = [{"field": reason.field, "why": reason.why} for reason in self.reasons]
        return json.dumps({"experiment": self.experiment.model_dump(mode="json"), "reasons": reasons}, indent=1)


def usable_name(text: str) -> str:
    """The nearest name that an experiment, a run and a model can have: ASCII letters, digits and `._-`."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_only).strip("._-") or "pictures"


def load_proposal(path: Path) -> Proposal:
    """Read what `to_json` wrote.

    Raises:
        BadRun: there is none, or it was damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        reasons = tuple(Reason(reason["field"], reason["why"]) for reason in values["reasons"])
        return Proposal(Experiment.model_validate(values["experiment"]), reasons)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRun(f"{path}: this proposal cannot be read ({' '.join(str(error).split())})") from error


def _commented(values: dict[str, Any], reasons: dict[str, str], within: str) -> list[str]:
    """YAML, a field after the other; `within` is the path of the section with its dot."""
    indent = "  " * within.count(".")
    lines: list[str] = []
    for name, value in values.items():
        path = within + name
        if path in reasons:
            marker = f"{indent}# "
            lines += textwrap.wrap(
                reasons[path], _WIDTH, initial_indent=marker, subsequent_indent=marker,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}:", *_commented(value, reasons, f"{path}.")]
        else:
            lines += [indent + line for line in _field(name, value).splitlines()]
    return lines


def _field(name: str, value: Any) -> str:
    # Names of classes read better down the page, numbers in a row.
    if isinstance(value, list) and not any(isinstance(item, str) for item in value):
        return f"{name}: {yaml.safe_dump(value, default_flow_style=True, width=_ONE_LINE)}"
    return yaml.safe_dump({name: value}, allow_unicode=True, width=_ONE_LINE)
