"""`make data|train|evaluate|export`: the notebooks of a run, the stale ones and no other."""

import json
from pathlib import Path

import nbclient
import nbformat
import pytest

from vigie.bundle import open_bundle
from vigie.errors import BadRun
from vigie.notebooks import make
from vigie.runs import Run

ALL = ["01_data", "02_train", "03_evaluate", "04_export"]


@pytest.fixture(scope="module")
def exported(given: dict[str, str]) -> Run:
    run, executed = make("export", **given)
    assert executed == ALL
    return run


@pytest.mark.timeout(600)
def test_a_run_holds_notebooks_reports_and_a_bundle(exported: Run, given: dict[str, str]) -> None:
    for name in ALL:
        assert "<html" in (exported.notebooks / f"{name}.html").read_text()
        book = nbformat.read(exported.notebooks / f"{name}.ipynb", as_version=4)
        assert any(cell.get("outputs") for cell in book.cells)
    metrics = json.loads((exported.reports / "metrics.json").read_text())
    assert set(metrics["per_class"]) == set(exported.experiment.classes)
    report = (exported.reports / "report.html").read_text()
    assert "The largest missed boxes" in report
    assert "run demo · part test" in report
    bundle = open_bundle(exported.folder.parents[1] / "models" / "demo")
    assert bundle.manifest.labels == exported.experiment.classes
    assert not list(exported.notebooks.glob("*.part*"))


def test_what_is_fresh_is_not_done_again(exported: Run, given: dict[str, str]) -> None:
    assert make("export", **given) == (exported, [])
    assert make("data", name="demo") == (exported, [])


def test_the_figures_of_every_notebook_are_in_its_report(exported: Run, given: dict[str, str]) -> None:
    for name in ALL:
        assert "data:image/png;base64" in (exported.notebooks / f"{name}.html").read_text(), name


def test_other_inputs_are_refused_and_change_nothing(exported: Run, given: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(Path(given["experiment"]).read_text().replace("steps: 6", "steps: 7"))
    with pytest.raises(BadRun, match=r"experiment\.training\.steps is 7, it was 6"):
        make("train", **{**given, "experiment": str(other)})
    assert make("export", **given) == (exported, [])


@pytest.mark.parametrize("notebook", [*ALL, "05_stream"])
def test_a_notebook_runs_by_hand_from_where_jupyterlab_starts_it(
    notebook: str, exported: Run, given: dict[str, str], notebooks_folder: Path
) -> None:
    book = nbformat.read(notebooks_folder / f"{notebook}.ipynb", as_version=4)
    nbclient.NotebookClient(book, timeout=240, resources={"metadata": {"path": str(notebooks_folder)}}).execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", []) if output.output_type != "stream"]
    assert shown


@pytest.mark.slow
def test_an_edit_redoes_what_depends_on_it_and_nothing_else(exported: Run, given: dict[str, str]) -> None:
    own = exported.folder / "experiment.yaml"
    own.write_text(own.read_text().replace("learning_rate: 0.003", "learning_rate: 0.002"))
    run, executed = make("export", **given)
    assert executed == ["02_train", "03_evaluate", "04_export"]
    assert open_bundle(run.folder.parents[1] / "models" / "demo").manifest.version == 2
