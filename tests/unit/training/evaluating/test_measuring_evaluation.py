from pathlib import Path

from vigie.bundle import open_bundle
from vigie.resizing import InputSize
from vigie.runs import Run
from vigie.training.evaluating.measuring import input_size_of


def test_the_input_of_a_run_is_that_of_its_experiment(tiny_run: Run) -> None:
    assert input_size_of(tiny_run.folder) == InputSize(96, 64)


def test_the_input_of_a_bundle_is_that_of_its_manifest(tiny_bundle: Path) -> None:
    taken = open_bundle(tiny_bundle).manifest.input
    assert input_size_of(tiny_bundle) == InputSize(taken.width, taken.height, "stretch")
