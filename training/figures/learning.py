"""How a training went: its losses, and what the validations found."""

import numpy as np
from matplotlib.figure import Figure

from vigie.runs import Run
from vigie.training.figures.style import (
    BLUE,
    GREEN,
    INK,
    MOST_LINES,
    ORANGE,
    dress,
    line_colour,
    line_dashes,
    named,
    nothing,
)
from vigie.training.losses import LOSSES_FILE, METRICS, VALIDATION_FILE, read_losses, read_validation

_LOSSES = {"total": BLUE, "class": ORANGE, "box": GREEN}
_SMOOTHED_STEPS = 20
_AP50 = "AP50 "


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


def validation_curve(run: Run) -> Figure:
    """mAP, mAP50 and AP50 of the first classes at every validation; the best mAP, whose weights count, is marked.

    Raises:
        BadRun: the run has no validation yet.
    """
    found = read_validation(run.checkpoints / VALIDATION_FILE)
    if found.empty:
        return nothing(f"Validations of {run.name}", "none was made yet")
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, colour in zip(METRICS, (INK, BLUE), strict=True):
        axes.plot(found["step"], found[name], color=colour, linewidth=2, marker="o", markersize=3, label=name)
    labels = [name.removeprefix(_AP50) for name in found.columns if name.startswith(_AP50)]
    for label in labels[:MOST_LINES]:
        axes.plot(
            found["step"],
            found[_AP50 + label],
            color=line_colour(label, labels),
            linestyle=line_dashes(label, labels),
            linewidth=1,
            label=f"AP50 of {named(label)}",
        )
    known = found.dropna(subset=["mAP"])
    if len(known):
        at = int(known["mAP"].to_numpy().argmax())
        place = (int(known["step"].iloc[at]), float(known["mAP"].iloc[at]))
        axes.plot(*place, "o", markersize=10, color=INK, fillstyle="none")
        axes.annotate(f"best {place[1]:.3f}", place, (0, 9), textcoords="offset points", ha="right", color=INK)
    axes.set(xlabel="step", ylabel="on validation", xlim=(0, None), ylim=(0, 1.02))
    dress(axes, f"Validations of {run.name}")
    axes.legend(frameon=False, labelcolor=INK, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
