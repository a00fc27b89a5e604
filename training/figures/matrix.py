"""The confusion matrix, for one class or for eighty."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.matching import Floats, Ints
from vigie.training.figures.style import GRID, INK, SMALL, dress, named

_MARGIN_IN = 1.9  # for the names
_MOST_NUMBERS = 1500  # nobody reads more, and a page has to carry them
_DARK = 0.55  # a share from which on the number is white


def confusion(evaluation: Evaluation) -> Figure:
    """What is there (rows) by what was found (columns), coloured by the share of the row.

    The last row are false boxes, the last column missed ones.
    """
    found = evaluation.analysis.confusion
    places = len(found.labels)
    cell_in = 0.9 if places <= 5 else 0.55 if places <= 14 else 0.3 if places <= 40 else 0.22
    side_in = cell_in * places
    figure = Figure(figsize=(max(side_in + _MARGIN_IN, 5.6), side_in + _MARGIN_IN), layout="constrained")
    axes = figure.add_subplot()
    shares = found.counts / np.maximum(found.counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    names = [named(label, 22) for label in found.labels]
    size = SMALL + 1 if places <= 14 else SMALL - 1 if places <= 40 else SMALL - 2
    axes.set_xticks(range(places), names, fontsize=size)
    slanted = places <= 14
    axes.tick_params("x", rotation=40 if slanted else 90)
    for tick in axes.get_xticklabels():
        tick.set(ha="right" if slanted else "center", rotation_mode="anchor" if slanted else "default")
    axes.set_yticks(range(places), names, fontsize=size)
    axes.set(xlabel="found", ylabel="is there")
    dress(axes, f"Confusion of boxes with a score of {found.score:g} or more", grid="none")
    axes.set_xticks(np.arange(places + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(places + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    _write(axes, found.counts, shares, cell_in)
    return figure


def _write(axes: Axes, counts: Ints, shares: Floats, cell_in: float) -> None:
    """The numbers in the cells, at most those of the largest shares; a 0 says nothing."""
    size = min(11.0, cell_in * 72 / 3)
    largest = np.argsort(-shares, axis=None, kind="stable")[:_MOST_NUMBERS]
    for row, column in zip(*np.unravel_index(largest, counts.shape), strict=True):
        if not counts[row, column]:
            break
        colour = "white" if shares[row, column] > _DARK else INK
        text = axes.text(column, row, _written(int(counts[row, column])), ha="center", va="center", color=colour)
        text.set_fontsize(size)
        text.set_in_layout(False)


def _written(count: int) -> str:
    return f"{count / 1000:.0f}k" if count >= 10_000 else str(count)
