"""What all figures have in common. Figures stand alone: pyplot keeps none of them."""

from collections.abc import Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vigie.drawing import PALETTE, colour_of

INK, GRID, MUTED = "#30343b", "#e3e6ea", "#8a909a"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
SMALL = 8
MOST_LINES = 10
"""Of classes with a line and a name of their own; with more, the others are pale."""

_PALEST = 0.55  # of a line, as luminance
_DASHES = ("-", "--", ":", "-.")
_MOST_LETTERS = 26


def line_colour(label: str, labels: Sequence[str]) -> tuple[float, ...]:
    """The label's colour on pictures, darkened where it would be too pale on white paper."""
    colour = np.array(colour_of(label, labels)) / 255
    luminance = float(colour @ (0.2126, 0.7152, 0.0722))
    return tuple(colour * min(1.0, _PALEST / luminance))


def line_dashes(label: str, labels: Sequence[str]) -> str:
    """Tells labels apart that share a colour of the palette."""
    return _DASHES[list(labels).index(label) // len(PALETTE) % len(_DASHES)]


def named(label: str, most: int = _MOST_LETTERS) -> str:
    """A label as Matplotlib shows it literally: no formula, not hidden from a legend; a long one loses its middle."""
    if len(label) > most:
        label = f"{label[: most * 2 // 3]}…{label[-(most - most * 2 // 3 - 1) :]}"
    return (" " if label.startswith("_") else "") + label.replace("$", r"\$")


def dress(axes: Axes, title: str, *, grid: Literal["both", "x", "y", "none"] = "both") -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=mpl.rcParams["axes.labelsize"], pad=10)
    if grid != "none":
        axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=INK, length=0)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def nothing(title: str, why: str) -> Figure:
    """In the place of a figure that there is nothing for."""
    figure = Figure(figsize=(6.4, 1.4), layout="constrained")
    axes = figure.add_subplot()
    dress(axes, title, grid="none")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, why, ha="center", va="center", color=MUTED, transform=axes.transAxes)
    return figure
