"""Figures and tables for notebooks and reports. Figures stand alone: pyplot keeps none of them.

Those of an evaluation are in `vigie.training.figures`, and all of them are reached from here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vigie.data.parts import Sample
from vigie.domain import Detection
from vigie.drawing import draw
from vigie.runs import Run
from vigie.training.evaluation import Evaluation
from vigie.training.figures.bars import by_slice, comparison, error_kinds, intervals
from vigie.training.figures.curves import calibration, f1_curves, precision_recall
from vigie.training.figures.matrix import confusion
from vigie.training.figures.style import BLUE, GREEN, INK, ORANGE, SMALL, dress, named
from vigie.training.losses import LOSSES_FILE, read_losses

__all__ = [
    "by_slice",
    "calibration",
    "comparison",
    "confusion",
    "error_kinds",
    "f1_curves",
    "gallery",
    "intervals",
    "loss_curve",
    "per_class",
    "precision_recall",
]

_LOSSES = {"total": BLUE, "class": ORANGE, "box": GREEN}
_SMOOTHED_STEPS = 20


def per_class(evaluation: Evaluation) -> pd.DataFrame:
    """A row a label: AP over IoU .5 to .95, AP50, number of true boxes; the last row is the mean."""
    rows = {label: (found.ap, found.ap50, found.count) for label, found in evaluation.per_class.items()}
    total = sum(found.count for found in evaluation.per_class.values())
    rows["mean"] = (evaluation.coco["mAP"], evaluation.coco["mAP50"], total)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["AP", "AP50", "count"])
    return table.astype({"AP": float, "AP50": float}).rename_axis("label")


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
    dress(axes, f"Losses of {run.name}, and their mean over {_SMOOTHED_STEPS} steps")
    axes.legend(frameon=False, labelcolor=INK)
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
        axes.set_title(named(sample.filename, 40), fontsize=SMALL, color=INK)
    return figure
