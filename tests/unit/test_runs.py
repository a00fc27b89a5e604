from pathlib import Path

import pytest

from vigie.data.propose import propose
from vigie.data.synthetic import write_set
from vigie.errors import BadData, BadRun, BadSetting
from vigie.project import project_root
from vigie.proposal import load_proposal
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
    return write_set(tmp_path / "pictures", pictures=3, seed=1, width=64, height=64, progress=False)


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
    run = run_named(**{key: value.format(voc=voc) for key, value in given.items()}, propose=propose)
    assert run.folder == tmp_path / "runs" / name
    assert run_named(**{key: value.format(voc=voc) for key, value in given.items()}) == run


def test_pictures_without_an_experiment_get_one_that_is_proposed_and_can_be_edited(
    voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "runs"))
    with caplog.at_level("INFO"):
        run = run_named("mine", voc=str(voc), steps=7, propose=propose)
    proposal = load_proposal(run.proposal)
    assert run.experiment == proposal.experiment == propose(voc, "mine").overridden(steps=7).experiment
    assert run.experiment.name == "mine"
    assert [f"proposed {reason}" for reason in proposal.reasons] == caplog.messages[:-1]
    own = run.folder / "experiment.yaml"
    assert f"edit {own} and give the same command again" in caplog.messages[-1]
    assert f"# {proposal.reasons[0].why:.60}" in own.read_text()

    own.write_text(own.read_text().replace("batch: 8", "batch: 4"))
    again = run_named("mine", voc=str(voc), steps=7, propose=propose)
    assert again.experiment.training.batch == 4
    assert run_named("mine", experiment=str(own), propose=propose) == again
    with pytest.raises(BadRun, match=r"experiment\.classes is .* Choose another name"):
        run_named("mine", experiment="config/experiments/demo.yaml", voc=str(voc), propose=propose)


def test_nothing_is_left_of_a_run_that_nothing_could_be_proposed_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "runs"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="found nothing"):
        run_named(voc=str(tmp_path / "empty"), propose=propose)
    with pytest.raises(BadRun, match="there is no such folder"):
        run_named(voc=str(tmp_path / "nowhere"), propose=propose)
    assert not (tmp_path / "runs").exists()


def test_a_run_is_named_after_a_folder_whatever_its_name(
    voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIE_RUNS", str(tmp_path / "runs"))
    odd = voc.rename(tmp_path / "My faces, été")
    run = run_named(voc=str(odd), propose=propose)
    assert (run.name, run.experiment.name) == ("My-faces-ete", "My-faces-ete")
