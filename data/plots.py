"""Figures of a data set, for notebooks. Each returns a closed figure: a notebook shows it once, as the cell's value."""

from itertools import islice
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from vigie.data.manifest import Manifest
from vigie.data.parts import Part
from vigie.data.prepare import load_manifest, read_part
from vigie.data.summary import class_counts
from vigie.drawing import PALETTE

_TINY_PX = 16  # below it a detector with stride 8 has little to go by


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
    figure.legend(loc="outside right upper", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def box_sizes(sizes: pd.DataFrame) -> Figure:
    """`sizes` as `vigie.data.summary.box_sizes` makes it: how large the objects are that a detector is shown."""
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
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def _colour(number: int) -> tuple[float, ...]:
    return tuple(part / 255 for part in PALETTE[number % len(PALETTE)])
