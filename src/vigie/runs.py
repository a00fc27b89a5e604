"""A run: the folder that one experiment on one data set fills, and what it was made from.

runs/<name>/
    inputs.json          what the run was asked for: experiment, pictures, steps; others are refused
    experiment.yaml      what it uses; edit it, and what depends on the edit is redone
    anchors.yaml         where the experiment says `anchors: auto`: the numbers, fitted to the boxes
    proposal.json        where the experiment was proposed from the pictures: it as proposed, and the reasons
    voc/                 the synthetic set, where the experiment draws its own
    data/                records, label map, CSVs, manifest (vigie.data)
    checkpoints/         weights, TensorBoard's scalars and pictures (vigie.training)
    quantisation/        where the int8 file lost too much: what its training with rounding left (vigie.export)
    reports/             metrics, curves, galleries
    notebooks/           the executed notebooks, their HTML, and what each was executed on
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from vigie.errors import BadRun, BadSetting
from vigie.experiment import Experiment, load_experiment
from vigie.fitted_anchors import FITTED_FILE, FittedAnchors, read_fitted
from vigie.layouts import open_set
from vigie.project import project_root
from vigie.proposal import Proposal, usable_name
from vigie.settings import load_settings
from vigie.whole import write_whole

DEMO = "config/experiments/demo.yaml"
EXPERIMENT_FILE = "experiment.yaml"
INPUTS_FILE = "inputs.json"
PROPOSAL_FILE = "proposal.json"

Propose: TypeAlias = Callable[[Path, str], Proposal]
"""Makes an experiment of that name for a folder of pictures: `vigie.data.propose.propose`, which is not known here."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that exists. `asked` is its experiment.yaml as it stands, `pictures` its folder of annotated pictures,
    `prepared` records made outside it."""

    folder: Path
    asked: Experiment
    pictures: Path
    prepared: Path | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def experiment(self) -> Experiment:
        """What is trained, measured and exported: what was asked, anchors that are auto in the numbers that were fitted
        by now; while there are none, they are still auto.
        """
        fitted = self.fitted_anchors()
        return self.asked if fitted is None else self.asked.with_anchors(fitted.anchors)

    @property
    def trained_experiment(self) -> Experiment:
        """As `experiment`, with the anchors that the weights in `checkpoints` were trained with: the run's own follow
        its records, which may have changed since.
        """
        kept = read_fitted(self.checkpoints / FITTED_FILE, self.asked) if self.asked.model.anchors == "auto" else None
        return self.experiment if kept is None else self.asked.with_anchors(kept.anchors)

    @property
    def anchors_file(self) -> Path:
        return self.folder / FITTED_FILE

    def fitted_anchors(self) -> FittedAnchors | None:
        """Of anchors that are auto the numbers, where they were fitted for what is asked now."""
        return read_fitted(self.anchors_file, self.asked) if self.asked.model.anchors == "auto" else None

    @property
    def draws_pictures(self) -> bool:
        return self.pictures == self.folder / "voc"

    @property
    def records(self) -> Path:
        return self.prepared or self.folder / "data"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def notebooks(self) -> Path:
        return self.folder / "notebooks"

    @property
    def proposal(self) -> Path:
        """There only where the experiment was proposed; see `vigie.proposal.load_proposal`."""
        return self.folder / PROPOSAL_FILE

    def data_key(self, source_hash: str) -> str:
        """Names everything that the records depend on."""
        return _digest(source_hash, self.experiment.digest("classes", "split"))

    def training_key(self, data_key: str) -> str:
        """Names everything that the weights depend on."""
        sections = ("classes", "model", "assignment", "loss", "training", "balance", "augmentation")
        return _digest(data_key, self.experiment.digest(*sections))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def open_run(
    folder: Path,
    *,
    experiment: Path | None = None,
    voc: Path | None = None,
    records: Path | None = None,
    steps: int | None = None,
    propose: Propose | None = None,
) -> Run:
    """Make the run, or open it when it was made from the same inputs. An input left out is the run's own.

    `voc` is a folder of annotated pictures, `records` one that they were prepared into before. For pictures without
    an experiment `propose` makes one.

    Raises:
        BadRun: the folder is another thing, or the run was made from other inputs; the difference is told.
        BadData: `voc` holds no annotated pictures.
        BadSetting: the experiment cannot be read.
    """
    if (folder / INPUTS_FILE).is_file():
        _refuse_other_inputs(folder, experiment, {"voc": _absolute(voc), "records": _absolute(records), "steps": steps})
        return load_run(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise BadRun(f"{folder}: is not empty and holds no {INPUTS_FILE}, so it is no run; choose another name")
    for given in (voc, records):
        if given is not None and not given.is_dir():
            raise BadRun(f"{given}: there is no such folder")
    if experiment is None and voc is not None and propose is not None:
        return _make_proposed(folder, propose(voc, folder.name), voc, steps)
    if experiment is None:
        raise BadRun(f"{folder}: there is no such run; name an experiment to make it from")
    asked = load_experiment(experiment)
    if voc is None and records is None and asked.data is None:
        raise BadRun(f"{experiment}: this experiment draws no pictures of its own; name a folder of them with VOC=")
    if voc is not None:
        open_set(voc)  # a folder without pictures leaves no run behind
    return _make(folder, asked, asked.overridden(steps=steps).to_yaml(), voc=voc, records=records, steps=steps)


def _make_proposed(folder: Path, proposal: Proposal, voc: Path, steps: int | None) -> Run:
    proposed = proposal.overridden(steps=steps)
    for reason in proposed.reasons:
        logger.info("proposed %s", reason)
    write_whole(folder / PROPOSAL_FILE, proposed.to_json())
    run = _make(folder, proposal.experiment, proposed.to_yaml(), voc=voc, records=None, steps=steps)
    logger.info("to change any of it, edit %s and give the same command again", folder / EXPERIMENT_FILE)
    return run


def _make(
    folder: Path, asked: Experiment, text: str, *, voc: Path | None, records: Path | None, steps: int | None
) -> Run:
    write_whole(folder / EXPERIMENT_FILE, text)
    inputs = {
        "experiment": asked.model_dump(mode="json"),
        "voc": _absolute(voc),
        "records": _absolute(records),
        "steps": steps,
    }
    write_whole(folder / INPUTS_FILE, json.dumps(inputs, indent=1))  # last: with it the folder is a run
    return load_run(folder)


def load_run(folder: Path) -> Run:
    """Open a run that exists.

    Raises:
        BadRun: there is none, or its files cannot be read.
        BadSetting: its experiment.yaml was edited into something that is no experiment.
    """
    if not (folder / INPUTS_FILE).is_file():
        raise BadRun(f"{folder}: there is no run here; make it with `make data NAME={folder.name}` or notebook 01_data")
    inputs = _inputs(folder)
    return Run(
        folder,
        load_experiment(folder / EXPERIMENT_FILE),
        pictures=Path(inputs["voc"]) if inputs["voc"] else folder / "voc",
        prepared=Path(inputs["records"]) if inputs["records"] else None,
    )


def run_named(
    name: str = "", *, experiment: str = "", voc: str = "", steps: int = 0, propose: Propose | None = None
) -> Run:
    """The run of a notebook or of Make, in the project that is around here; empty values are not given.

    The name is by default that of the pictures' folder, else the experiment's; without any of the three: the demo.
    A new run of pictures without an experiment takes the one that `propose` makes.
    """
    root = project_root()
    pictures = root / Path(voc).expanduser() if voc else None
    if not name and pictures is not None and not experiment:
        name = usable_name(pictures.resolve().name)
    elif not name:
        experiment = experiment or DEMO
        name = load_experiment(root / experiment).name
    if name != Path(name).name or name.startswith("."):
        raise BadSetting(f"NAME={name}: the name of a run is that of one folder in runs/, without a path")
    folder = load_settings(root=root).runs / name
    if not (experiment or pictures or (folder / INPUTS_FILE).is_file()):
        experiment = DEMO
    return open_run(
        folder, experiment=root / experiment if experiment else None, voc=pictures, steps=steps or None, propose=propose
    )


def _absolute(path: Path | None) -> str | None:
    return str(path.resolve()) if path else None


def _inputs(folder: Path) -> dict[str, Any]:
    try:
        inputs: dict[str, Any] = json.loads((folder / INPUTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadRun(
            f"{folder / INPUTS_FILE}: cannot be read ({error}); delete the run or choose another name"
        ) from error
    return inputs


def _refuse_other_inputs(folder: Path, experiment: Path | None, given: dict[str, Any]) -> None:
    before = _inputs(folder)
    differences = []
    if experiment is not None and experiment.resolve() != (folder / EXPERIMENT_FILE).resolve():
        now = load_experiment(experiment).model_dump(mode="json")
        differences += _differences(before["experiment"], now, "experiment")
    differences += [
        f"{name.upper()} is {value}, it was {before[name] or 'not given'}"
        for name, value in given.items()
        if value is not None and value != before[name]
    ]
    if differences:
        raise BadRun(
            f"{folder}: was made from other inputs: {'; '.join(differences)}. "
            f"Choose another name with NAME=, or delete the folder"
        )


def _differences(before: Any, now: Any, where: str) -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            difference
            for key in sorted(before.keys() | now.keys())
            for difference in _differences(before.get(key), now.get(key), f"{where}.{key}")
        ]
    return [] if before == now else [f"{where} is {now!r}, it was {before!r}"]
