"""What single changes to a recipe are worth on the face-mask set, by validation.

    python bench/ablation.py --work FOLDER [ROW ...]

Each row of facemask_ablation.yaml is the base experiment with one change. A row's run lies in FOLDER and goes on there
after an interruption; when it is done its metrics on validation, its curve and its experiment are written into
docs/facemask/, to be committed. Some 25 minutes a row on two cores that nothing else uses.
"""

import argparse
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from vigie.data.of_run import records_of
from vigie.data.parts import Part
from vigie.data.prepare import load_manifest, read_part
from vigie.experiment import Experiment
from vigie.runs import Run, open_run
from vigie.training.evaluating.evaluation import Evaluation, evaluate
from vigie.training.evaluating.measuring import detector_of, input_size_of
from vigie.training.facts import FACTS_FILE
from vigie.training.losses import VALIDATION_FILE
from vigie.training.train import train

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
ROWS = Path(__file__).with_name("facemask_ablation.yaml")
RESULTS = ROOT / "docs" / "facemask"
TABLE = RESULTS / "ablation.csv"
BACKBONES = {"imagenet": SHARED / "models" / "mobilenet_v2_imagenet.weights.h5"}


def main() -> None:
    asked = yaml.safe_load(ROWS.read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"by default all: {', '.join(asked['rows'])}")
    options = parser.parse_args()
    if unknown := sorted(set(options.rows) - set(asked["rows"])):
        parser.error(f"there are no rows {', '.join(unknown)}; there are: {', '.join(asked['rows'])}")
    options.work.mkdir(parents=True, exist_ok=True)
    for row in options.rows or asked["rows"]:
        values = merged(asked["base"], {"name": row, **asked["rows"][row]})
        run = trained(options.work, values)
        print(json.dumps(kept(row, run, asked["rows"][row])), flush=True)


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Sections are merged, all else is replaced."""
    both = {**base, **change}
    for name in base.keys() & change.keys():
        if isinstance(base[name], Mapping) and isinstance(change[name], Mapping):
            both[name] = merged(base[name], change[name])
    return both


def trained(work: Path, values: dict[str, Any]) -> Run:
    start = values["training"]["init"]
    here = merged(values, {"training": {"init": str(BACKBONES.get(start, start))}})
    file = work / f"{values['name']}.yaml"
    file.write_text(Experiment.model_validate(here).to_yaml())
    run = open_run(work / values["name"], experiment=file, voc=SHARED / "facemask")
    records_of(run)
    train(run)
    return run


def kept(row: str, run: Run, change: Mapping[str, Any]) -> dict[str, Any]:
    """The row's line of the table, after its files are written."""
    line = write_results(row, run)
    (RESULTS / row / "change.yaml").write_text(yaml.safe_dump(dict(change)))
    before = [one for one in (pd.read_csv(TABLE).to_dict("records") if TABLE.is_file() else []) if one["row"] != row]
    pd.DataFrame([*before, line]).to_csv(TABLE, index=False, float_format="%.4f")
    return line


def write_results(name: str, run: Run) -> dict[str, Any]:
    """The run's metrics on validation and its curve into docs/facemask/, and what is told of it on a line."""
    found = on_part(run, "validation")
    folder = RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    values = found.to_json()
    (folder / "metrics.json").write_text(json.dumps(values, indent=1) + "\n")
    (folder / VALIDATION_FILE).write_bytes((run.checkpoints / VALIDATION_FILE).read_bytes())
    return {
        "row": name,
        "mAP": values["mAP"],
        "mAP50": values["mAP50"],
        **{f"AP50 {label}": one["AP50"] for label, one in values["per_class"].items()},
        "minutes": minutes(run),
    }


def on_part(run: Run, part: Part) -> Evaluation:
    manifest = load_manifest(run.records)
    return evaluate(
        detector_of(run.folder),
        read_part(run.records, part),
        labels=manifest.classes,
        max_pictures=manifest.parts[part].pictures,
        input_size=input_size_of(run.folder),
    )


def minutes(run: Run) -> float | None:
    """Of all sittings; None where one was cut off, of which the end is not known."""
    sittings = json.loads((run.checkpoints / FACTS_FILE).read_text())["sittings"]
    if any(one["ended"] is None for one in sittings):
        return None
    times = [datetime.fromisoformat(one["ended"]) - datetime.fromisoformat(one["started"]) for one in sittings]
    return round(sum(time.total_seconds() for time in times) / 60, 1)


if __name__ == "__main__":
    main()
