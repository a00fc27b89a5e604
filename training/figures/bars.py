"""Figures of numbers side by side: errors by kind, slices, intervals and differences."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vigie.training.evaluating.compare import Comparison
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.bootstrap import Bootstrap, Interval
from vigie.training.evaluating.metrics.slices import SliceNumbers
from vigie.training.evaluating.metrics.verdicts import Kind
from vigie.training.figures.style import BLUE, GREEN, INK, MUTED, ORANGE, SMALL, dress, named, nothing

KIND_NAMES: Mapping[Kind, str] = {
    Kind.CLS: "right place, wrong label",
    Kind.LOC: "right label, loose box",
    Kind.BOTH: "wrong label, loose box",
    Kind.DUPE: "found twice",
    Kind.BKG: "nothing is there",
    Kind.MISS: "not found",
}
"""TIDE's kinds in words."""

_MANY_ROWS = 24


def error_kinds(evaluation: Evaluation) -> Figure:
    """What mAP50 would gain if the errors of one of TIDE's kinds were mended, and how many there are."""
    found = evaluation.analysis.tide
    title = "What each kind of error costs (TIDE)"
    if found is None:
        return nothing(title, "there are no true boxes")
    figure = Figure(figsize=(7.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    kinds = list(found.d_ap)
    bars = axes.barh([f"{kind.value}: {KIND_NAMES[kind]}" for kind in kinds], list(found.d_ap.values()), color=BLUE)
    said = [f"{found.d_ap[kind]:.3f}   ({found.count[kind]})" for kind in kinds]
    axes.bar_label(bars, said, padding=4, color=INK, fontsize=SMALL + 1)
    axes.invert_yaxis()
    axes.margins(x=0.22)
    if not any(found.d_ap.values()):
        axes.set_xlim(0, 1)
    axes.set(xlabel="mAP50 to gain (number of errors, whatever their score)")
    dress(axes, f"{title}: mAP50 is {found.ap50:.3f}", grid="x")
    return figure


def by_slice(evaluation: Evaluation) -> Figure:
    """AP50 and recall by the size of a box at the model's input, where that is known, and by crowding."""
    analysis = evaluation.analysis
    panels: list[tuple[str, Sequence[SliceNumbers]]] = [("By true boxes on the picture", analysis.by_crowding)]
    if analysis.by_size is not None:
        panels.insert(0, ("By side of the box at the model's input", analysis.by_size))
    figure = Figure(figsize=(5.4 * len(panels) + 0.6, 3.9), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, parts) in zip(grid, panels, strict=True):
        _slices(axes, parts)
        dress(axes, title, grid="y")
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=2, frameon=False, labelcolor=INK)
    return figure


def intervals(evaluation: Evaluation) -> Figure:
    """mAP, mAP50 and AP50 of each label with true boxes, with what 95 % of the resampled sets of pictures give."""
    counts = {label: found.count for label, found in evaluation.per_class.items()}
    rows = _rows(evaluation.analysis.intervals, {label: f"{named(label)} ({counts[label]})" for label in counts})
    title = "AP50 by label (true boxes), with 95 % intervals"
    if not rows:
        return nothing(title, "there are no true boxes" if evaluation.coco["mAP"] is None else "not asked for")
    figure, axes = _whiskers(rows, colour_of=lambda _: BLUE, signed=False)
    axes.set_xlim(0, 1.01)
    dress(axes, title, grid="x")
    return figure


def comparison(compared: Comparison) -> Figure:
    """The difference to the other model with its 95 % interval; what leaves out 0 is more than noise."""
    counts = {label: found.count for label, found in compared.other.per_class.items()}
    rows = _rows(compared.difference, {label: f"{named(label)} ({counts[label]})" for label in counts})
    title = "This model minus the other, with 95 % intervals"
    if not rows:
        return nothing(title, "there are no true boxes")
    figure, axes = _whiskers(rows, colour_of=_verdict_colour, signed=True)
    axes.axvline(0, color=INK, linewidth=1.2)
    widest = max(max(abs(one.low), abs(one.high), abs(one.value)) for _, one in rows)
    axes.set_xlim(-1.1 * max(widest, 0.01), 1.1 * max(widest, 0.01))
    axes.set(xlabel="worse  ←   difference in average precision   →  better")
    dress(axes, f"{title}; grey is no more than noise", grid="x")
    return figure


def _verdict_colour(one: Interval) -> str:
    """Without a width, the interval is of a label on a single picture and says nothing."""
    if not one.excludes_zero or one.low == one.high:
        return MUTED
    return GREEN if one.value > 0 else ORANGE


def _slices(axes: Axes, parts: Sequence[SliceNumbers]) -> None:
    for number, (name, colour) in enumerate((("AP50", BLUE), ("recall at IoU .5", GREEN))):
        values = [part.recall50 if number else part.ap50 for part in parts]
        places = [place - 0.2 + 0.4 * number for place in range(len(parts))]
        bars = axes.bar(places, [value or 0.0 for value in values], 0.38, color=colour, label=name)
        axes.bar_label(bars, ["" if value is None else f"{value:.2f}" for value in values], fontsize=SMALL, color=INK)
    ticks = [f"{part.name.replace(' px', '')}\n{part.boxes} boxes" for part in parts]
    axes.set_xticks(range(len(parts)), ticks, fontsize=SMALL)
    axes.set_ylim(0, 1.08)


def _rows(found: Bootstrap, names: Mapping[str, str]) -> list[tuple[str, Interval]]:
    """With what to call them; what is not known stays away. Of many labels the best comes first."""
    labels = [(names[label], one) for label, one in zip(names, found.ap50, strict=True) if one is not None]
    if len(labels) > _MANY_ROWS:
        labels.sort(key=lambda row: -row[1].value)
    means = [("mAP", found.mean_ap), ("mAP50", found.mean_ap50)]
    return [(name, one) for name, one in means if one is not None] + labels


def _whiskers(
    rows: Sequence[tuple[str, Interval]], *, colour_of: Callable[[Interval], str], signed: bool
) -> tuple[Figure, Axes]:
    row_in, size = (0.2, SMALL - 1) if len(rows) > _MANY_ROWS else (0.34, SMALL + 1)
    figure = Figure(figsize=(8.2, 1.4 + row_in * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    sign = "+" if signed else ""
    for place, (_, one) in enumerate(rows):
        colour = colour_of(one)
        axes.plot([one.low, one.high], [place, place], color=colour, linewidth=2.5, alpha=0.5, solid_capstyle="round")
        axes.plot([one.value], [place], "o", color=colour, markersize=6, clip_on=False)
        said = f"{one.value:{sign}.3f}  ({one.low:{sign}.3f} to {one.high:{sign}.3f})"
        axes.text(1.02, place, said, transform=axes.get_yaxis_transform(), va="center", color=INK, fontsize=size)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=size)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    return figure, axes
