"""The numbers of an evaluation as tables, and a table as HTML."""

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from vigie.training.evaluating.compare import Comparison
from vigie.training.evaluating.evaluation import Evaluation

_CONFUSIONS = 15
_DIFFERENT = 8
_UNKNOWN = "&ndash;"
_COCO_IN_WORDS = {
    "mAP": "AP, mean over IoU .5 to .95",
    "mAP50": "AP at IoU .5",
    "mAP75": "AP at IoU .75",
    "mAP_small": "AP of boxes under 32² px",
    "mAP_medium": "AP of boxes up to 96² px",
    "mAP_large": "AP of boxes above 96² px",
    "AR1": "recall with 1 box a picture and label",
    "AR10": "recall with 10 boxes",
    "AR100": "recall with 100 boxes",
    "AR_small": "recall of boxes under 32² px",
    "AR_medium": "recall of boxes up to 96² px",
    "AR_large": "recall of boxes above 96² px",
}


def coco_table(evaluation: Evaluation) -> pd.DataFrame:
    """COCO's twelve numbers, sizes in pixels of the original."""
    rows = [(name, evaluation.coco[name], text) for name, text in _COCO_IN_WORDS.items()]
    return pd.DataFrame(rows, columns=["name", "value", "meaning"]).set_index("name").astype({"value": float})


def class_table(evaluation: Evaluation) -> pd.DataFrame:
    """A row a label: average precisions and recall, the 95 % interval of AP50, and what its best threshold gives."""
    rows = []
    intervals = evaluation.analysis.intervals.ap50
    for (label, found), interval in zip(evaluation.per_class.items(), intervals, strict=True):
        curve = evaluation.analysis.thresholds[label]
        best = None if curve is None else curve.best()
        rows.append(
            {
                "label": label,
                "boxes": found.count,
                "AP": found.ap,
                "AP50": found.ap50,
                "AP50 low": None if interval is None else interval.low,
                "AP50 high": None if interval is None else interval.high,
                "AR": found.ar,
                "VOC AP50": found.voc_ap50,
                "best threshold": None if best is None else best.score,
                "precision": None if best is None else best.precision,
                "recall": None if best is None else best.recall,
                "F1": None if best is None else best.f1,
            }
        )
    table = pd.DataFrame(rows).set_index("label")
    return table.astype(dict.fromkeys([name for name in table.columns if name != "boxes"], float))


def confusion_table(evaluation: Evaluation, most: int = _CONFUSIONS) -> pd.DataFrame:
    """Which label is taken for which other, the commonest first; missed and false boxes stand in the matrix alone."""
    found = evaluation.analysis.confusion
    mixed = found.counts[:-1, :-1] * ~np.eye(len(found.labels) - 1, dtype=bool)
    truths = found.counts.sum(axis=1)
    order = np.argsort(-mixed, axis=None, kind="stable")[:most]
    places = [divmod(int(place), mixed.shape[1]) for place in order]
    rows = [
        (found.labels[row], found.labels[column], int(mixed[row, column]), mixed[row, column] / truths[row])
        for row, column in places
        if mixed[row, column]
    ]
    return pd.DataFrame(rows, columns=["is there", "found", "boxes", "share of the label"])


def difference_table(compared: Comparison, most: int = _DIFFERENT) -> pd.DataFrame:
    """Pictures on which the two differ, the worst and the best for ours."""
    pictures = compared.pictures
    shown = pictures if len(pictures) <= 2 * most else (*pictures[:most], *pictures[-most:])
    rows = [(one.filename, one.found, one.false) for one in shown]
    return pd.DataFrame(rows, columns=["picture", "more found", "more false"]).set_index("picture")


def as_html(table: pd.DataFrame) -> str:
    """Numbers with three digits, a dash where there is none."""
    named = table.index.name is not None
    head = f"<th>{escape(str(table.index.name))}" if named else ""
    head += "".join(
        f"<th{' style=text-align:left' if pd.api.types.is_string_dtype(table[name]) else ''}>{escape(str(name))}"
        for name in table.columns
    )
    rows = "".join(
        f"<tr>{f'<th>{escape(str(name))}' if named else ''}{''.join(map(_cell, values))}"
        for name, values in zip(table.index, table.itertuples(index=False, name=None), strict=True)
    )
    return f"<table class=numbers><thead><tr>{head}</thead><tbody>{rows}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f"<td style=text-align:left>{escape(value)}"
    if isinstance(value, float):
        return f"<td>{_UNKNOWN}" if np.isnan(value) else f"<td>{value:.3f}"
    return f"<td>{value}"
