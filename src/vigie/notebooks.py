"""Execute the notebooks of a run in their order, those whose inputs changed and no other.

A step is fresh when its stamp, written last, names the hash of what it was executed on, and its outcome is there.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbconvert import HTMLExporter
from papermill.exceptions import PapermillExecutionError

import vigie.errors
from vigie.errors import BadSetting, VigieError
from vigie.progress import INTERVAL_VARIABLE, interval_s
from vigie.project import project_root
from vigie.runs import Run, run_named
from vigie.settings import load_settings
from vigie.whole import write_whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One notebook: `key` names its inputs, `outcome` is what it leaves."""

    name: str
    notebook: str
    outcome: Callable[[Run], Path]

    def stamp(self, run: Run) -> Path:
        return run.notebooks / f"{self.notebook}.key"

    def fresh(self, run: Run, key: str | None) -> bool:
        stamp = self.stamp(run)
        return key is not None and self.outcome(run).exists() and stamp.is_file() and stamp.read_text() == key


STEPS = (
    Step("data", "01_data", lambda run: run.records / "manifest.json"),
    Step("train", "02_train", lambda run: run.checkpoints / "trained.json"),
    Step("evaluate", "03_evaluate", lambda run: run.reports / "metrics.json"),
    Step("export", "04_export", lambda run: models_folder() / run.name),
)


def models_folder() -> Path:
    """Where bundles go."""
    return load_settings().models


def make(step: str, *, name: str = "", experiment: str = "", voc: str = "", steps: int = 0) -> tuple[Run, list[str]]:
    """Bring a run up to `step`; returns it and the notebooks that had to be executed.

    A new run of pictures without an experiment is made with one that is proposed from them.

    Raises:
        BadRun: the run was made from other inputs.
        BadData: nothing can be proposed for the pictures.
        VigieError: what a notebook met that a person can mend.
    """
    wanted = [known.name for known in STEPS]
    if step not in wanted:
        raise BadSetting(f"there is no step {step!r}; there are: {', '.join(wanted)}")
    from vigie.data.propose import propose  # noqa: PLC0415  # heavy, and this module lists the steps for --help

    run = run_named(name, experiment=experiment, voc=voc, steps=steps, propose=propose)
    executed = []
    for number, current in enumerate(STEPS[: wanted.index(step) + 1], start=1):
        key = _key(current, run)
        if current.fresh(run, key):
            continue
        logger.info("%d of %d: notebook %s of %s", number, wanted.index(step) + 1, current.notebook, run.folder)
        execute(project_root() / "notebooks" / f"{current.notebook}.ipynb", run.notebooks, {"name": run.name})
        write_whole(current.stamp(run), _key(current, run) or "")
        executed.append(current.notebook)
    return run, executed


def _key(step: Step, run: Run) -> str | None:
    """What the step's outcome depends on; None while that cannot be told, because a step before it is not done."""
    from vigie.data.prepare import input_hash  # noqa: PLC0415  # heavy, and this module lists the steps for --help

    if not run.pictures.is_dir():
        return None
    data_key = run.data_key(input_hash(run.pictures, run.experiment.split))
    return data_key if step.name == "data" else run.training_key(data_key)


def execute(notebook: Path, out: Path, parameters: Mapping[str, Any]) -> Path:
    """Run a notebook from top to bottom into `out` (with its HTML), progress on standard error.

    Raises:
        BadSetting: a parameter that the notebook does not have.
        VigieError: the notebook raised it; anything else that it raised is a `PapermillExecutionError`.
    """
    for loud in ("papermill", "traitlets", "nbconvert"):
        logging.getLogger(loud).setLevel(logging.ERROR)
    _refuse_unknown(notebook, parameters)
    out.mkdir(parents=True, exist_ok=True)
    done, unfinished = out / notebook.name, out / f"{notebook.stem}.part.ipynb"
    os.environ[INTERVAL_VARIABLE] = str(interval_s())
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its notes on the processor are no progress
    started = time.monotonic()
    try:
        papermill.execute_notebook(
            notebook,
            unfinished,
            dict(parameters),
            cwd=notebook.parent,
            progress_bar=False,
            stderr_file=sys.stderr,
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
    except PapermillExecutionError as error:
        failed = unfinished.replace(out / f"{notebook.stem}.failed.ipynb")
        _raise_as_itself(error, failed)
    finally:
        del os.environ[INTERVAL_VARIABLE]
    executed = nbformat.read(unfinished, as_version=4)
    _keep_last_states(executed)
    nbformat.write(executed, unfinished)
    write_whole(done.with_suffix(".html"), _report(executed))
    unfinished.replace(done)
    logger.info("%s: %.0f s, %s", notebook.stem, time.monotonic() - started, done.with_suffix(".html"))
    return done


def _refuse_unknown(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """papermill alone would log a misspelt parameter and run on with the default."""
    if not notebook.is_file():
        raise BadSetting(f"{notebook}: there is no such notebook")
    known = papermill.inspect_notebook(notebook)
    unknown = sorted(parameters.keys() - known.keys())
    if unknown:
        raise BadSetting(
            f"{notebook.name}: has no parameter {', '.join(unknown)}; it has: {', '.join(known) or 'none'}"
        )


def _raise_as_itself(error: PapermillExecutionError, failed: Path) -> None:
    kind = getattr(vigie.errors, str(error.ename), None)
    if isinstance(kind, type) and issubclass(kind, VigieError):
        raise kind(f"{error.evalue} (met in {failed})") from error
    raise error


def _keep_last_states(notebook: nbformat.NotebookNode) -> None:
    """Of a bar that was drawn over itself a hundred times keep the last line."""
    for cell in notebook.cells:
        outputs: list[nbformat.NotebookNode] = []
        for output in cell.get("outputs", []):
            before = outputs[-1] if outputs else None
            if (
                before is not None
                and output.output_type == before.output_type == "stream"
                and output.name == before.name
            ):
                before.text += output.text
            else:
                outputs.append(output)
        for output in outputs:
            if output.output_type == "stream":
                output.text = re.sub(r"[^\r\n]*\r(?!\n)", "", output.text)
        if cell.cell_type == "code":
            cell.outputs = outputs


def _report(notebook: nbformat.NotebookNode) -> str:
    """As a page to send to a colleague: without what was only for the terminal."""
    shown = deepcopy(notebook)
    for cell in shown.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    html, _ = HTMLExporter(exclude_input_prompt=True, exclude_output_prompt=True).from_notebook_node(shown)
    return str(html)
