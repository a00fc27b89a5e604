"""Figures and tables for notebooks and reports. Figures stand alone: pyplot keeps none of them.

Those of a training and of an evaluation are in `vigie.training.figures`; all of them are reached from here.
"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from vigie.data.parts import Sample
from vigie.domain import Detection
from vigie.drawing import draw
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.figures.bars import by_slice, comparison, error_kinds, intervals
from vigie.training.figures.curves import calibration, f1_curves, precision_recall
from vigie.training.figures.learning import loss_curve, validation_curve
from vigie.training.figures.matrix import confusion
from vigie.training.figures.style import INK, SMALL, named

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
    "validation_curve",
]


def per_class(evaluation: Evaluation) -> pd.DataFrame:
    """A row a label: AP over IoU .5 to .95, AP50, number of true boxes; the last row is the mean."""
    rows = {label: (found.ap, found.ap50, found.count) for label, found in evaluation.per_class.items()}
    total = sum(found.count for found in evaluation.per_class.values())
    rows["mean"] = (evaluation.coco["mAP"], evaluation.coco["mAP50"], total)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["AP", "AP50", "count"])
    return table.astype({"AP": float, "AP50": float}).rename_axis("label")


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
