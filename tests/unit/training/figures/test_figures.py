"""Figures of evaluations that are as they come: one label, eighty, odd names, nothing there, nothing found."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from faked_evaluations import Finds
from matplotlib.figure import Figure

from vigie.data.parts import Sample
from vigie.domain import Box, Detection, LabelledBox
from vigie.pictures import Picture
from vigie.resizing import InputSize
from vigie.training import plots
from vigie.training.evaluating.compare import compare
from vigie.training.evaluating.evaluation import Evaluation, evaluate

PICTURE = Picture.from_pixels(np.zeros((120, 160, 3), np.uint8))
FIGURES: tuple[Callable[[Evaluation], Figure], ...] = (
    plots.precision_recall,
    plots.confusion,
    plots.f1_curves,
    plots.error_kinds,
    plots.by_slice,
    plots.calibration,
    plots.intervals,
)


def evaluated(labels: Sequence[str], *, seed: int = 0, truth: bool = True, finds: bool = True) -> Evaluation:
    """A box of every label on each of four pictures; two of three are found, some under the next label's name."""
    rng = np.random.default_rng(seed)
    samples, entries = [], []
    for number in range(4):
        boxes = [Box(x, y, x + 20, y + 15) for x, y in rng.uniform(0, 90, (len(labels), 2))]
        objects = tuple(LabelledBox(label, box) for label, box in zip(labels, boxes, strict=True))
        found = [
            Detection(labels[(place + (rng.uniform() < 0.2)) % len(labels)], float(rng.uniform(0.05, 1)), box)
            for place, box in enumerate(boxes)
            if rng.uniform() < 2 / 3
        ]
        samples.append(Sample(number, f"{number}.jpg", PICTURE, objects if truth else ()))
        entries.append(found if finds else [])
    return evaluate(Finds(labels, entries), samples, labels=labels, input_size=InputSize(96, 96), progress=False)


@pytest.fixture(autouse=True)
def _no_warnings() -> None:
    warnings.simplefilter("error")


EVALUATIONS = {
    "one label": {"labels": ["cat"]},
    "odd names": {
        "labels": ["_hidden", "a$b$", "{", "a very long name of a label, longer than any that there should be"]
    },
    "eighty labels": {"labels": [f"label {number}" for number in range(80)]},
    "no true box": {"labels": ["cat", "dog"], "truth": False},
    "nothing found": {"labels": ["cat", "dog"], "finds": False},
    "nothing at all": {"labels": ["cat"], "truth": False, "finds": False},
}


@pytest.mark.parametrize("case", EVALUATIONS)
def test_every_figure_can_be_drawn_of(case: str) -> None:
    evaluation = evaluated(**EVALUATIONS[case])
    figures = [figure(evaluation) for figure in FIGURES]
    for figure in [*figures, plots.comparison(compare(evaluation, evaluation))]:
        figure.canvas.draw()
        assert figure.axes


def test_of_a_few_labels_each_has_its_curve_and_its_name() -> None:
    labels = [f"label {number}" for number in range(9)]
    figure = plots.precision_recall(evaluated(labels))
    lines = figure.axes[0].lines
    assert len(lines) == 9
    # Nine labels share seven colours: their dashes tell them apart.
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9
    names = [text.get_text().split("   ")[0] for text in figure.legends[0].get_texts()]
    assert names == labels


def test_of_eighty_labels_the_worst_and_the_best_are_named_beside_the_mean() -> None:
    evaluation = evaluated([f"label {number}" for number in range(80)])
    figure = plots.precision_recall(evaluation)
    assert len(figure.axes[0].lines) == 81
    names = [text.get_text().split("   ")[0] for text in figure.legends[0].get_texts()]
    ap50 = {label: found.ap50 or 0 for label, found in evaluation.per_class.items()}
    order = sorted(ap50.values())
    assert names[0] == "mean of 80 labels"
    assert [ap50[name] for name in names[1:]] == [*order[:4], *order[-4:]]


def test_the_matrix_has_a_number_in_each_cell_that_counts() -> None:
    evaluation = evaluated(["cat", "dog"])
    (axes,) = plots.confusion(evaluation).axes
    counts = evaluation.analysis.confusion.counts
    written = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written == {(r, c): str(counts[r, c]) for r in range(3) for c in range(3) if counts[r, c]}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["cat", "dog", "background"]


def test_the_best_threshold_is_marked_in_the_panel_of_its_label() -> None:
    evaluation = evaluated(["cat", "dog"])
    panels = [axes for axes in plots.f1_curves(evaluation).axes if axes.get_visible()]
    for axes, curve in zip(panels, evaluation.analysis.thresholds.values(), strict=True):
        assert curve is not None
        best = curve.best()
        assert best is not None
        (marked,) = [line for line in axes.lines if line.get_marker() == "o"]
        assert (marked.get_xdata()[0], marked.get_ydata()[0]) == (best.score, best.f1)


def test_a_difference_that_is_noise_is_grey() -> None:
    labels = ["cat", "dog"]
    better, same = evaluated(labels), evaluated(labels)
    worse = evaluated(labels, finds=False)
    assert {line.get_color() for line in plots.comparison(compare(better, same)).axes[0].lines[:-1]} == {"#8a909a"}
    assert plots.comparison(compare(better, worse)).axes[0].lines[0].get_color() == "#009e73"
    assert plots.comparison(compare(worse, better)).axes[0].lines[0].get_color() == "#d55e00"


def test_of_a_matrix_that_is_full_only_the_largest_shares_are_written() -> None:
    evaluation = evaluated([f"label {number}" for number in range(80)])
    counts = np.random.default_rng(0).integers(1, 200, (81, 81))
    confusion = replace(evaluation.analysis.confusion, counts=counts)
    (axes,) = plots.confusion(replace(evaluation, analysis=replace(evaluation.analysis, confusion=confusion))).axes
    shares = counts / counts.sum(axis=1, keepdims=True)
    written = {(round(text.get_position()[1]), round(text.get_position()[0])) for text in axes.texts}
    assert len(written) == 1500
    assert min(shares[place] for place in written) >= np.sort(shares, axis=None)[-1500]
