from pathlib import Path

import pytest

from vigie.anchors import AnchorSpec
from vigie.errors import BadSetting
from vigie.experiment import Experiment, load_experiment

SMALL = """
name: small
classes: [cat, dog]
training: {steps: 10}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_back_reads_as_the_same_experiment(tmp_path: Path) -> None:
    experiment = load_experiment(written(tmp_path, SMALL))
    assert load_experiment(written(tmp_path, experiment.to_yaml())) == experiment
    assert experiment.classes == ("cat", "dog")
    assert (experiment.model.input_width, experiment.model.input_height) == (320, 320)


@pytest.mark.parametrize("name", ["demo", "facemask", "facemask-320"])
def test_the_experiments_of_the_project_can_be_read(name: str, pytestconfig: pytest.Config) -> None:
    experiment = load_experiment(pytestconfig.rootpath / "config" / "experiments" / f"{name}.yaml")
    assert experiment.name == name


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (SMALL.replace("steps", "stepz"), ("training.stepz: there is no such setting", "training.steps: is missing")),
        (SMALL.replace("10", "0"), ("training.steps", "0")),
        (SMALL.replace("[cat, dog]", "[cat, cat]"), ("stand twice", "cat")),
        (SMALL.replace("[cat, dog]", "[]"), ("classes",)),
        (SMALL + "model: {input_width: 300}", ("model.input_width", "multiple of 32", "300")),
        (
            SMALL + "model: {anchors: {size: -1, sizes: 2}}",
            ("model.anchors.size: input", "model.anchors.sizes: there is"),
        ),
        (SMALL + "model: {anchors: otto}", ("model.anchors: anchors are auto, or a mapping of min_level", "'otto'")),
        (SMALL + "model: {anchors: [1, 2]}", ("model.anchors: input should be a valid dictionary",)),
        (SMALL + "split: {validation: 0.5, test: 0.5}", ("split", "leave nothing to train on")),
        (SMALL + "augmentation: {flip: true}", ("augmentation.flip", "number")),
        (SMALL + "augmentation: {mosaic: 1.5}", ("augmentation.mosaic", "1.5")),
        (SMALL + "augmentation: {composite: 0.5}", ("augmentation", "composite_of is missing")),
        (
            SMALL + "augmentation: {composite_of: {upper: cat, lower: bird, makes: dog}}",
            ("augmentation.composite_of", "bird is not among the classes"),
        ),
        ("- a list", ("mapping",)),
        ("name: [", ("YAML",)),
    ],
)
def test_a_wrong_experiment_is_refused_with_the_place_and_the_value(
    tmp_path: Path, text: str, named: tuple[str, ...]
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadSetting) as refused:
        load_experiment(path)
    for word in (str(path), *named):
        assert word in str(refused.value)


def test_anchors_are_auto_or_numbers_and_auto_ones_cannot_be_used_before_they_are_fitted(tmp_path: Path) -> None:
    auto = load_experiment(written(tmp_path, SMALL + "model: {anchors: auto}"))
    assert load_experiment(written(tmp_path, auto.to_yaml())) == auto
    with pytest.raises(BadSetting, match=r"model\.anchors: auto: they are fitted .* write them down"):
        _ = auto.model.grid
    fitted = auto.with_anchors(AnchorSpec(size=3.0))
    assert fitted.model.grid == AnchorSpec(size=3.0)
    assert load_experiment(written(tmp_path, SMALL + "model: {anchors: {size: 3}}")) == fitted
    assert load_experiment(written(tmp_path, SMALL)).model.grid == AnchorSpec()


def test_a_missing_experiment_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    written(tmp_path, SMALL)
    with pytest.raises(BadSetting, match=r"other\.yaml: there is no such experiment; its folder holds small\.yaml"):
        load_experiment(tmp_path / "other.yaml")


def test_the_digest_of_a_section_changes_with_that_section_alone(tmp_path: Path) -> None:
    experiment = load_experiment(written(tmp_path, SMALL))
    longer = experiment.overridden(steps=20)
    assert longer.training.steps == 20
    assert longer.digest("training") != experiment.digest("training")
    assert longer.digest("classes", "model") == experiment.digest("classes", "model")
    assert experiment.overridden() is experiment
    assert Experiment.model_validate(experiment.model_dump()).digest() == experiment.digest()
