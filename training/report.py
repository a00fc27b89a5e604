"""An evaluation on the disk."""

import json
from pathlib import Path

from vigie.training import plots
from vigie.training.evaluation import Evaluation
from vigie.whole import write_whole

METRICS_FILE = "metrics.json"
CURVES_FILE = "precision_recall.png"
PICTURES_FILE = "pictures.jsonl"


def write_report(evaluation: Evaluation, out: Path) -> Path:
    """Figures, `pictures.jsonl` with a line a picture and, last, `metrics.json`, whose path is returned."""
    out.mkdir(parents=True, exist_ok=True)
    plots.precision_recall(evaluation).savefig(out / CURVES_FILE, dpi=120)
    lines = (json.dumps(picture.to_json(), ensure_ascii=False) + "\n" for picture in evaluation.per_picture)
    write_whole(out / PICTURES_FILE, "".join(lines))
    path = out / METRICS_FILE
    write_whole(path, json.dumps(evaluation.to_json(), indent=1, ensure_ascii=False) + "\n")
    return path
