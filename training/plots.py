"""Figures and tables for notebooks and reports. Figures stand alone: pyplot keeps none of them."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vigie.data.parts import Sample
from vigie.domain import Detection
from vigie.drawing import colour_of, draw
from vigie.runs import Run
from vigie.training.coco import RECALLS
from vigie.training.evaluation import Evaluation
from vigie.training.losses import LOSSES_FILE, read_losses

_INK, _GRID = "#30343b", "#e3e6ea"
_LOSSES = {"total": "#0072b2", "class": "#d55e00", "box": "#009e73"}
_PALEST = 0.55  # of a line, as luminance
_SMOOTHED_STEPS = 20


def per_class(evaluation: Evaluation) -> pd.DataFrame:
    """A row a label: AP over IoU .5 to .95, AP50, number of true boxes; the last row is the mean."""
    rows = {label: (found.ap, found.ap50, found.count) for label, found in evaluation.per_class.items()}
    total = sum(found.count for found in evaluation.per_class.values())
    rows["mean"] = (evaluation.coco["mAP"], evaluation.coco["mAP50"], total)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["AP", "AP50", "count"])
    return table.astype({"AP": float, "AP50": float}).rename_axis("label")


def precision_recall(evaluation: Evaluation) -> Figure:
    """Precision over recall of every label that has true boxes, at IoU .5."""
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    labels = list(evaluation.per_class)
    for label, found in evaluation.per_class.items():
        if found.count:
            name = f"{label}   AP50 {found.ap50:.3f}   ({found.count} boxes)"
            axes.plot(RECALLS, found.precision_50, color=_line_colour(label, labels), linewidth=2, label=name)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    mean = evaluation.coco["mAP50"]
    heading = "no true boxes" if mean is None else f"mAP50 {mean:.3f}"
    _dress(axes, f"Precision and recall at IoU .5: {heading}, {evaluation.pictures} pictures")
    if axes.lines:
        axes.legend(loc="lower left", frameon=False, labelcolor=_INK)
    return figure


def loss_curve(run: Run) -> Figure:
    """Total, class and box loss of every step, each with its running mean.

    Raises:
        BadRun: the run has no losses yet.
    """
    losses = read_losses(run.checkpoints / LOSSES_FILE)
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, colour in _LOSSES.items():
        axes.plot(losses["step"], losses[name], color=colour, linewidth=0.8, alpha=0.25)
        smooth = losses[name].rolling(_SMOOTHED_STEPS, min_periods=1).mean()
        axes.plot(losses["step"], smooth, color=colour, linewidth=2, label=f"{name}   {smooth.iloc[-1]:.3f}")
    axes.set(xlabel="step", ylabel="loss", xlim=(0, max(int(losses["step"].max()), 1)))
    axes.set_ylim(0, 1.05 * float(np.nanpercentile(losses["total"], 99)) or 1)
    _dress(axes, f"Losses of {run.name}, and their mean over {_SMOOTHED_STEPS} steps")
    axes.legend(frameon=False, labelcolor=_INK)
    return figure


def gallery(
    samples: Sequence[Sample], detections: Sequence[Sequence[Detection]], labels: Sequence[str], *, columns: int = 4
) -> Figure:
    """The pictures with true boxes (dashed, label below) and found ones (solid, score above)."""
    columns = max(1, min(columns, len(samples)))
    rows = max(1, -(-len(samples) // columns))
    figure = Figure(figsize=(3.6 * columns, 2.9 * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    for axes, sample, found in zip(grid, samples, detections, strict=False):
        axes.imshow(draw(sample.picture.rgb(), [*sample.objects, *found], labels))
        axes.set_title(sample.filename, fontsize=8, color=_INK)
    return figure


def _line_colour(label: str, labels: Sequence[str]) -> tuple[float, ...]:
    """The label's colour on pictures, darkened where it would be too pale on white paper."""
    colour = np.array(colour_of(label, labels)) / 255
    luminance = float(colour @ (0.2126, 0.7152, 0.0722))
    return tuple(colour * min(1.0, _PALEST / luminance))


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", color=_INK, fontsize=mpl.rcParams["axes.labelsize"], pad=10)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_GRID)
    axes.tick_params(colors=_INK, length=0)
