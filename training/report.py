"""An evaluation on the disk."""

import json
from pathlib import Path

from vigie.training import plots
from vigie.training.evaluation import Evaluation
from vigie.whole import write_whole

METRICS_FILE = "metrics.json"
CURVES_FILE = "precision_recall.png"


def write_report(evaluation: Evaluation, out: Path) -> Path:
    """Figures and, last, `metrics.json`, whose path is returned."""
    out.mkdir(parents=True, exist_ok=True)
    plots.precision_recall(evaluation).savefig(out / CURVES_FILE, dpi=120)
    path = out / METRICS_FILE
    write_whole(path, json.dumps(evaluation.to_json(), indent=1, ensure_ascii=False) + "\n")
    return path
