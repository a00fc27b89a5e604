"""The face-mask model that comes with the project finds faces before anyone has trained."""

from collections import Counter
from pathlib import Path

import pytest

from vigie.bundle import Bundle, open_bundle
from vigie.detectors import load_detector
from vigie.domain import Detection
from vigie.experiment import load_experiment
from vigie.pictures import Picture

FILES = ("model_fp16.tflite", "model_int8.tflite")


@pytest.fixture(scope="module")
def bundle(pytestconfig: pytest.Config) -> Bundle:
    return open_bundle(pytestconfig.rootpath / "models" / "facemask" / "1")


@pytest.fixture(scope="module")
def found(bundle: Bundle) -> dict[str, list[list[Detection]]]:
    pictures = [Picture.from_file(path) for path in sorted(Path(bundle.trial_source()).iterdir())]
    results = {}
    for file in FILES:
        results[file] = [
            one for one in load_detector(bundle.folder, file=file).detect(pictures) if isinstance(one, list)
        ]
        assert len(results[file]) == len(pictures) == 12
    return results


def test_it_is_small_and_tells_where_it_comes_from(bundle: Bundle) -> None:
    assert sorted(name for name in bundle.manifest.files if name.startswith("model")) == sorted(FILES)
    assert sum(one.bytes for one in bundle.manifest.files.values()) < 14_000_000
    assert bundle.manifest.thresholds.keys() == set(bundle.manifest.labels)
    assert "licence of the data: CC0-1.0" in (bundle.folder / "README.md").read_text()


def test_it_is_what_the_recipe_makes(bundle: Bundle, pytestconfig: pytest.Config) -> None:
    recipe = load_experiment(pytestconfig.rootpath / "config" / "experiments" / "facemask.yaml")
    facts = bundle.manifest
    assert (facts.input.width, facts.input.height) == (recipe.model.input_width, recipe.model.input_height)
    assert (facts.input.resize, facts.labels) == (recipe.model.resize, recipe.classes)
    assert facts.step <= recipe.training.steps


def test_faces_are_found_on_the_pictures_that_come_with_it(found: dict[str, list[list[Detection]]]) -> None:
    for pictures in found.values():
        assert all(pictures), "every picture shows a face"
        labels = Counter(one.label for picture in pictures for one in picture)
        assert labels["with_mask"] > labels["without_mask"] > labels["mask_weared_incorrect"] > 0


def test_whole_numbers_find_what_halves_find(found: dict[str, list[list[Detection]]]) -> None:
    numbers = [sum(map(len, found[file])) for file in FILES]
    assert min(numbers) >= 0.9 * max(numbers)
