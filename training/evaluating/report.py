"""An evaluation on the disk."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vigie.data.parts import Sample
from vigie.training import plots
from vigie.training.evaluating.compare import Comparison
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.reporting.page import report_page
from vigie.whole import write_whole

METRICS_FILE = "metrics.json"
CURVES_FILE = "precision_recall.png"
PICTURES_FILE = "pictures.jsonl"
REPORT_FILE = "report.html"
COMPARISON_FILE = "compare.json"

_NO_FACTS: Mapping[str, str] = {}
_NUMBERS = re.compile(r"\[\n\s+([-+.\deEnul,\s]+?)\n\s+\]")


def write_report(
    evaluation: Evaluation,
    out: Path,
    *,
    samples: Iterable[Sample] | None = None,
    compared: Comparison | None = None,
    about: Mapping[str, str] = _NO_FACTS,
) -> Path:
    """`report.html`, a figure, `pictures.jsonl` with a line a picture, and, last, `metrics.json`: its path is returned.

    `samples` are those of the evaluation, read again: the worst errors are drawn on them, as the page cannot be
    without. `about` says on the page what was measured. Of a comparison there is also `compare.json`.

    Raises:
        BadData: the samples are not those of the evaluation.
    """
    out.mkdir(parents=True, exist_ok=True)
    plots.precision_recall(evaluation).savefig(out / CURVES_FILE, dpi=120)
    lines = (json.dumps(picture.to_json(), ensure_ascii=False) + "\n" for picture in evaluation.per_picture)
    write_whole(out / PICTURES_FILE, "".join(lines))
    write_whole(out / REPORT_FILE, report_page(evaluation, samples=samples, compared=compared, about=about))
    if compared is not None:
        write_whole(out / COMPARISON_FILE, _as_text(compared.to_json()))
    path = out / METRICS_FILE
    write_whole(path, _as_text(evaluation.to_json()))
    return path


def _as_text(values: dict[str, Any]) -> str:
    """A line a value, but a list of numbers on one line."""
    text = json.dumps(values, indent=1, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text) + "\n"
