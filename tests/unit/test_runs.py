from pathlib import Path

import pytest

from vigie.data.synthetic import write_set
from vigie.errors import BadData, BadRun, BadSetting
from vigie.project import project_root
from vigie.runs import load_run, open_run, run_named

EXPERIMENT = """
name: small
classes: [cat, dog]
training: {steps: 10}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return write_set(tmp_path / "pictures", pictures=1, seed=1, width=64, height=64, progress=False)


def test_a_run_opened_again_with_the_same_inputs_is_the_same_run(tmp_path: Path, experiment: Path, voc: Path) -> None:
    run = open_run(tmp_path / "run", experiment=experiment, voc=voc, steps=7)
    assert run.experiment.training.steps == 7
    assert run.pictures == voc
    assert open_run(tmp_path / "run", experiment=experiment, voc=voc, steps=7) == run
    assert open_run(tmp_path / "run") == load_run(tmp_path / "run") == run


def test_other_inputs_under_an_existing_name_are_refused_with_the_difference(
    tmp_path: Path, experiment: Path, voc: Path
) -> None:
    folder = tmp_path / "run"
    open_run(folder, experiment=experiment, voc=voc, steps=7)
    experiment.write_text(EXPERIMENT.replace("dog", "cow"))
    with pytest.raises(BadRun) as refused:
        open_run(folder, experiment=experiment, voc=tmp_path / "others", steps=8)
    message = str(refused.value)
    assert "experiment.classes is ['cat', 'cow'], it was ['cat', 'dog']" in message
    assert f"VOC is {tmp_path / 'others'}, it was {voc}" in message
    assert "STEPS is 8, it was 7" in message
    assert "NAME=" in message


def test_an_edited_experiment_of_the_run_itself_is_used(tmp_path: Path, experiment: Path, voc: Path) -> None:
    run = open_run(tmp_path / "run", experiment=experiment, voc=voc)
    before = run.training_key(run.data_key("pictures"))
    own = run.folder / "experiment.yaml"
    own.write_text(own.read_text().replace("learning_rate: 0.003", "learning_rate: 0.001"))
    edited = open_run(run.folder, experiment=experiment, voc=voc)
    assert edited.experiment.training.learning_rate == 0.001
    assert edited.data_key("pictures") == run.data_key("pictures")
    assert edited.training_key(edited.data_key("pictures")) != before


def test_a_folder_that_is_no_run_is_not_touched(tmp_path: Path, experiment: Path, voc: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    with pytest.raises(BadRun, match="is not empty"):
        open_run(folder, experiment=experiment, voc=voc)
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]


def test_nothing_is_left_of_a_run_that_could_not_be_made(tmp_path: Path, experiment: Path) -> None:
    for wrong in ({}, {"voc": tmp_path / "nowhere"}):
        with pytest.raises(BadRun):
            open_run(tmp_path / "run", experiment=experiment, **wrong)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match=r"found nothing\. Expected one of: Pascal VOC"):
        open_run(tmp_path / "run", experiment=experiment, voc=tmp_path / "empty")
    with pytest.raises(BadSetting):
        open_run(tmp_path / "run", experiment=tmp_path / "none.yaml")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["../evil", "a/b", "/abs", ".hidden", ".."])
def test_a_name_that_leaves_the_folder_of_the_runs_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "runs"))
    with pytest.raises(BadSetting, match="the name of a run is that of one folder"):
        run_named(name)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_there_is_told_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(BadRun, match=r"make data NAME=absent"):
        load_run(tmp_path / "absent")


def test_paths_are_those_of_the_project_from_its_notebooks_too(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = pytestconfig.rootpath
    for folder in (root, root / "notebooks", tmp_path):
        monkeypatch.chdir(folder)
        assert project_root() == root


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "demo"),
        ({"name": "mine"}, "mine"),
        ({"experiment": "config/experiments/facemask.yaml", "voc": "{voc}"}, "facemask"),
        ({"voc": "{voc}"}, "pictures"),
    ],
)
def test_a_run_is_named_after_what_it_is_made_from(
    given: dict[str, str], name: str, voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "runs"))
    run = run_named(**{key: value.format(voc=voc) for key, value in given.items()})
    assert run.folder == tmp_path / "runs" / name
    assert run_named(**{key: value.format(voc=voc) for key, value in given.items()}) == run
