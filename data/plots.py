"""Figures of a data set, for notebooks. Each returns a closed figure: a notebook shows it once, as the cell's value."""

from itertools import islice
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vigie.anchors import AnchorSpec
from vigie.data.doctor.anchor_fit import MATCH_IOU, best_ious
from vigie.data.manifest import Manifest
from vigie.data.parts import Part
from vigie.data.prepare import load_manifest, read_part
from vigie.data.summary import class_counts
from vigie.drawing import PALETTE

_TINY_PX = 16  # below it a detector with stride 8 has little to go by
_MOST_OCTAVES = 3.0  # 1 : 8 and thinner are shown at the edge
_MOST_PANELS = 4
_MOST_LEGEND = 12
_CELLS = 64
_SIDES_PX = (0.0, 8.0, 16.0, 32.0, 64.0, 128.0, float("inf"))
_SIDE_NAMES = ("under 8", "8 to 16", "16 to 32", "32 to 64", "64 to 128", "over 128")


def samples(records: Path, part: Part = "train", count: int = 8, columns: int = 4) -> Figure:
    """The part's first pictures, which a lot has mixed, with their true boxes."""
    classes = load_manifest(records).classes
    shown = list(islice(read_part(records, part), count))
    rows = -(-len(shown) // columns)
    figure: Figure
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 3.2 * rows), squeeze=False, layout="constrained")
    for place in axes.flat:
        place.axis("off")
    for place, sample in zip(axes.flat, shown, strict=False):
        place.imshow(sample.picture.rgb())
        for labelled in sample.objects:
            # Lines of the figure, not of the picture: they stay visible on the smallest face of a crowd.
            box, colour = labelled.box, _colour(classes.index(labelled.label))
            corner = (box.left - 0.5, box.top - 0.5)
            place.add_patch(Rectangle(corner, box.width, box.height, fill=False, edgecolor=colour, linewidth=1.5))
        place.set_title(sample.filename, fontsize=9)
    figure.suptitle(f"Pictures of the part {part} with their true boxes")
    patches = [Patch(color=_colour(number), label=name) for number, name in enumerate(classes)]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(classes), frameon=False)
    plt.close(figure)
    return figure


def counts(manifest: Manifest) -> Figure:
    """Boxes of each class in each part, on a logarithmic scale: rare classes are what matters."""
    table = class_counts(manifest).drop(columns="all")
    figure: Figure
    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    width = 0.8 / len(table)
    for number, (name, row) in enumerate(table.iterrows()):
        bars = axes.bar(np.arange(len(row)) + number * width, row, width, label=str(name), color=_colour(number))
        axes.bar_label(bars, fontsize=8)
    axes.set_xticks(np.arange(len(table.columns)) + 0.4 - width / 2, list(table.columns))
    axes.set_yscale("symlog")
    axes.margins(y=0.12)  # the numbers on the bars stay below the title
    axes.set(ylabel="boxes", title="Boxes of each class in each part")
    _legend(figure, axes, len(table))
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def box_sizes(sizes: pd.DataFrame) -> Figure:
    """`sizes` as `vigie.data.summary.boxes_at_input` makes it: how large the objects are that a detector is shown."""
    figure: Figure
    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    edges = np.geomspace(max(1.0, sizes["side_px"].min()), max(2.0, sizes["side_px"].max()), 40)
    groups = [(str(name), group["side_px"]) for name, group in sizes.groupby("class", observed=False)]
    axes.hist([sides for _, sides in groups], bins=list(edges), stacked=True, label=[name for name, _ in groups],
              color=[_colour(number) for number in range(len(groups))])  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(_TINY_PX, color="0.4", linestyle="--", linewidth=1)
    middle, small = sizes["side_px"].median(), float((sizes["side_px"] < _TINY_PX).mean())
    axes.set(xlabel="root of the box's area at the detector's input, pixels", ylabel="boxes",
             title=f"Box sizes: median {middle:.0f} px, {small:.0%} under {_TINY_PX} px")  # fmt: skip
    _legend(figure, axes, len(groups))
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def aspect_ratios(boxes: pd.DataFrame, spec: AnchorSpec) -> Figure:
    """`boxes` as `vigie.data.summary.boxes_at_input` makes them: their shapes, and those of the anchors as lines."""
    figure: Figure
    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    groups = [(str(name), np.log2(group["width_px"] / group["height_px"]).clip(-_MOST_OCTAVES, _MOST_OCTAVES))
              for name, group in boxes.groupby("class", observed=False)]  # fmt: skip
    axes.hist([ratios for _, ratios in groups], bins=40, stacked=True, label=[name for name, _ in groups],
              color=[_colour(number) for number in range(len(groups))])  # fmt: skip
    for ratio in spec.aspect_ratios:
        axes.axvline(np.log2(ratio), color="0.4", linestyle="--", linewidth=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda octave, _: f"{2**octave:g}")
    axes.set(xlabel="width / height at the detector's input; dashed: the anchors'", ylabel="boxes",
             title=f"Box shapes: median {(boxes['width_px'] / boxes['height_px']).median():.2f}")  # fmt: skip
    _legend(figure, axes, len(groups))
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def positions(boxes: pd.DataFrame, input_width: int, input_height: int) -> Figure:
    """Where the boxes of all and of the commonest classes lie: the share of them that covers a place."""
    commonest = boxes["class"].value_counts().head(_MOST_PANELS).index
    panels = {"all classes": boxes} | {str(name): boxes[boxes["class"] == name] for name in commonest}
    figure: Figure
    figure, axes = plt.subplots(1, len(panels), figsize=(3.4 * len(panels), 3.4), squeeze=False, layout="constrained")
    for place, (name, group) in zip(axes.flat, panels.items(), strict=True):
        covered = _coverage(group, input_width, input_height)
        shown = place.imshow(covered, cmap="viridis", extent=(0, input_width, input_height, 0))
        figure.colorbar(shown, ax=place, shrink=0.75, format="{x:.0%}")
        place.set_title(f"{name}: {len(group)} boxes", fontsize=10)
        place.tick_params(labelsize=7)
    figure.suptitle("Where the boxes lie: share of them that covers a place, pixels of the detector's input")
    plt.close(figure)
    return figure


def _coverage(boxes: pd.DataFrame, width: int, height: int) -> npt.NDArray[np.float64]:
    """`_CELLS` x `_CELLS`, rows from the top."""
    covered = np.zeros((_CELLS, _CELLS))
    sides = np.array([width, height, width, height]) / _CELLS
    places = boxes[["left_px", "top_px", "right_px", "bottom_px"]].to_numpy() / sides
    for left, top, right, bottom in places:
        covered[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] += 1
    return covered / max(1, len(boxes))


def anchor_match(boxes: pd.DataFrame, spec: AnchorSpec, input_width: int, input_height: int) -> Figure:
    """How well the best anchor of each box overlaps it, and which sizes are matched badly."""
    corners = boxes[["left_px", "top_px", "right_px", "bottom_px"]].to_numpy(np.float64)
    overlaps = best_ious(corners, spec, input_width, input_height)
    matched = overlaps >= MATCH_IOU
    figure: Figure
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
    left.hist(overlaps, bins=list(np.linspace(0, 1, 41)), color=_colour(0))
    left.axvline(MATCH_IOU, color="0.4", linestyle="--", linewidth=1)
    left.set(xlabel="IoU with the best anchor", ylabel="boxes",
             title=f"{matched.mean():.0%} of the boxes have an anchor with IoU {MATCH_IOU:g} or more")  # fmt: skip
    bins = pd.cut(boxes["side_px"], _SIDES_PX, labels=_SIDE_NAMES)
    shares = pd.Series(matched, index=boxes.index).groupby(bins, observed=False).agg(["mean", "size"])
    bars = right.bar(shares.index.astype(str), shares["mean"].fillna(0), color=_colour(3))
    said = [f"{share:.0%}\nof {size}" if size else "none" for share, size in shares.itertuples(index=False)]
    right.bar_label(bars, said, fontsize=8)
    right.set(ylim=(0, 1.2), xlabel="side of the box at the input, pixels", ylabel="share matched",
              title="Matched boxes by size")  # fmt: skip
    right.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def _legend(figure: Figure, axes: Axes, entries: int) -> None:
    """Outside, and left out where there are more classes than anybody tells apart."""
    if entries <= _MOST_LEGEND:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right upper", frameon=False)


def _colour(number: int) -> tuple[float, ...]:
    return tuple(part / 255 for part in PALETTE[number % len(PALETTE)])
