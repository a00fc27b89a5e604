"""Figures over recall and over the score."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vigie.training.evaluating.coco import RECALLS
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.thresholds import THRESHOLDS, ThresholdCurve
from vigie.training.figures.style import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MOST_LINES,
    MUTED,
    ORANGE,
    SMALL,
    dress,
    line_colour,
    line_dashes,
    named,
    nothing,
)

_NAMED_OF_MANY = 4  # of the best and of the worst classes each
_PANELS, _COLUMNS = 12, 3


def precision_recall(evaluation: Evaluation) -> Figure:
    """Precision over recall of every label that has true boxes, at IoU .5; of many, the best and the worst by name."""
    labels = list(evaluation.per_class)
    known = {label: found for label, found in evaluation.per_class.items() if found.count}
    worst_first = sorted(known, key=lambda label: known[label].ap50 or 0)
    many = len(known) > MOST_LINES
    shown = [*worst_first[:_NAMED_OF_MANY], *worst_first[-_NAMED_OF_MANY:]] if many else list(known)
    figure = Figure(figsize=(8.2 if known else 6.4, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for label in worst_first if many else known:
        if label not in shown:
            axes.plot(RECALLS, known[label].precision_50, color=GRID, linewidth=1)
    if many:
        mean = np.mean([found.precision_50 for found in known.values()], axis=0)
        axes.plot(RECALLS, mean, color=INK, linewidth=3, label=f"mean of {len(known)} labels")
    for place, label in enumerate(shown):
        colour = line_colour(label, shown if many else labels)
        dashes = line_dashes(label, shown if many else labels)
        text = f"{named(label)}   {known[label].ap50:.3f}   ({known[label].count} boxes)"
        axes.plot(RECALLS, known[label].precision_50, dashes, color=colour, linewidth=2, label=text, zorder=3 + place)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    mean_ap50 = evaluation.coco["mAP50"]
    heading = "no true boxes" if mean_ap50 is None else f"mAP50 {mean_ap50:.3f}"
    dress(axes, f"Precision and recall at IoU .5: {heading}, {evaluation.pictures} pictures")
    if known:
        title = f"AP50: the {_NAMED_OF_MANY} worst and best" if many else "AP50"
        _legend_outside(figure, axes, title)
    return figure


def f1_curves(evaluation: Evaluation) -> Figure:
    """Precision, recall and F1 over the score from which on boxes are shown, a panel a label, the best F1 marked.

    Of many labels, the first panel has all their F1 and the others are those whose best F1 is lowest.
    """
    curves = {label: curve for label, curve in evaluation.analysis.thresholds.items() if curve is not None}
    title = "Precision, recall and F1 over the score threshold, at IoU .5"
    if not curves:
        return nothing(title, "there are no true boxes")
    many = len(curves) > _PANELS
    lowest = sorted(curves, key=lambda label: _best_f1(curves[label]))
    shown = lowest[: _PANELS - 1] if many else list(curves)
    panels = len(shown) + many
    columns = min(_COLUMNS, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(3.4 * max(columns, 2), 0.7 + 2.5 * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    if many:
        _all_f1(grid[0], list(curves.values()))
    for axes, label in zip(grid[many:], shown, strict=False):
        _panel(axes, curves[label])
        dress(axes, f"{named(label)}   {_best(curves[label])}")
    for axes in grid:
        axes.title.set_fontsize(SMALL + 1)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    for axes in grid[panels:]:
        axes.set_visible(False)
    figure.supxlabel("score threshold", color=INK, fontsize=SMALL + 2)
    figure.suptitle(title + (f"; the {len(shown)} labels with the lowest F1" if many else ""), color=INK, fontsize=11)
    handles, names = grid[-1 if panels == len(grid) else panels - 1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=len(names), frameon=False, labelcolor=INK)
    return figure


def calibration(evaluation: Evaluation) -> Figure:
    """How often a score comes true: precision in bins of the score, above how many detections each bin holds."""
    found = evaluation.analysis.calibration
    title = "Calibration"
    if found is None:
        return nothing(title, "nothing was found")
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left = [one.low for one in found.bins]
    width = found.bins[0].high - found.bins[0].low
    precision = [one.precision or 0.0 for one in found.bins]
    axes.bar(left, precision, width, align="edge", color=BLUE, edgecolor="white", label="right at IoU .5")
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1.5, label="as the score says")
    for one in found.bins:
        if one.score is not None and one.precision is not None:
            axes.plot([one.score] * 2, [one.score, one.precision], color=ORANGE, linewidth=1.5)
    axes.plot([], [], color=ORANGE, linewidth=1.5, label="too sure (below the line) or not sure enough")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
    dress(axes, f"{title}: expected error (ECE) {found.error:.3f}")
    axes.legend(loc="upper left", frameon=False, labelcolor=INK, fontsize=SMALL + 1)
    counts = [one.count for one in found.bins]
    bars = below.bar(left, counts, width, align="edge", color=MUTED, edgecolor="white")
    below.bar_label(bars, [_shortened(count) for count in counts], fontsize=SMALL - 1, color=INK)
    below.set_yscale("symlog")
    below.margins(y=0.3)
    below.set_yticks([])
    below.set_yticks([], minor=True)
    below.set(xlabel="score", ylabel="detections")
    dress(below, "", grid="none")
    return figure


def _panel(axes: Axes, curve: ThresholdCurve) -> None:
    precision, recall, f1 = curve.sampled()
    axes.plot(THRESHOLDS, precision, color=BLUE, linewidth=1.5, label="precision")
    axes.plot(THRESHOLDS, recall, color=GREEN, linewidth=1.5, label="recall")
    axes.plot(THRESHOLDS, f1, color=ORANGE, linewidth=2.2, label="F1")
    best = curve.best()
    if best is not None:
        axes.axvline(best.score, color=MUTED, linestyle="--", linewidth=1)
        axes.plot([best.score], [best.f1], "o", color=ORANGE, markeredgecolor="white", markersize=7)


def _all_f1(axes: Axes, curves: Sequence[ThresholdCurve]) -> None:
    every = [curve.sampled()[2] for curve in curves]
    for line in every:
        axes.plot(THRESHOLDS, line, color=GRID, linewidth=1)
    axes.plot(THRESHOLDS, np.mean(every, axis=0), color=INK, linewidth=2.5)
    dress(axes, f"F1 of all {len(curves)} labels, and their mean")


def _best(curve: ThresholdCurve) -> str:
    best = curve.best()
    return "nothing right" if best is None else f"F1 {best.f1:.2f} at {best.score:.2f}"


def _best_f1(curve: ThresholdCurve) -> float:
    best = curve.best()
    return 0.0 if best is None else best.f1


def _legend_outside(figure: Figure, axes: Axes, title: str) -> None:
    handles, names = axes.get_legend_handles_labels()
    legend = figure.legend(
        handles, names, loc="outside right upper", frameon=False, labelcolor=INK, fontsize=SMALL + 1, title=title
    )
    legend.get_title().set_color(INK)


def _shortened(count: int) -> str:
    return f"{count / 1000:.0f}k" if count >= 10_000 else str(count) if count else ""
