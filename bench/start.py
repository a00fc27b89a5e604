"""What a start from ImageNet's weights is worth: two short trainings on the face-mask set that differ in nothing else.

    python bench/start.py --work FOLDER [--steps 300]

The trainings lie in FOLDER and go on there after an interruption. Validation's mAP50 every 50 steps of both is drawn
into docs/images/start.png, and the test part's is printed. Some ten minutes on two cores.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from matplotlib.figure import Figure

from vigie.data.of_run import records_of
from vigie.data.prepare import load_manifest, read_part
from vigie.runs import Run, open_run
from vigie.training.evaluating.evaluation import evaluate
from vigie.training.evaluating.measuring import detector_of
from vigie.training.train import train

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
STARTS = {"scratch": None, "imagenet": str(SHARED / "models" / "mobilenet_v2_imagenet.weights.h5")}
NAMES = {"scratch": "from scratch", "imagenet": "from ImageNet's weights"}
COLOURS = {"scratch": "#d55e00", "imagenet": "#0072b2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "images" / "start.png")
    asked = parser.parse_args()
    runs = {start: trained(asked.work, start, asked.steps) for start in STARTS}
    for start, run in runs.items():
        print(json.dumps({"start": NAMES[start], "steps": asked.steps, **on_test(run)}))
    drawn(runs).savefig(asked.figure, dpi=120)


def trained(work: Path, start: str, steps: int) -> Run:
    """The run of one start, trained or trained on."""
    work.mkdir(parents=True, exist_ok=True)
    experiment = work / f"{start}.yaml"
    experiment.write_text(yaml.safe_dump(experiment_of(start, steps)))
    run = open_run(work / start, experiment=experiment, voc=SHARED / "facemask")
    records_of(run)
    train(run)
    return run


def experiment_of(start: str, steps: int) -> dict[str, Any]:
    return {
        "name": start,
        "classes": ["with_mask", "without_mask", "mask_weared_incorrect"],
        "training": {
            "steps": steps,
            "batch": 8,
            "learning_rate": 0.003,
            "init": STARTS[start],
            "checkpoint_every": 100,
            "validate_every": 50,
        },
    }


def on_test(run: Run) -> dict[str, float | None]:
    detector, manifest = detector_of(run.folder), load_manifest(run.records)
    found = evaluate(
        detector, read_part(run.records, "test"), labels=manifest.classes, max_pictures=manifest.parts["test"].pictures
    )
    return {"mAP": found.coco["mAP"], "mAP50": found.coco["mAP50"]}


def drawn(runs: dict[str, Run]) -> Figure:
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for start, run in runs.items():
        curve = pd.read_csv(run.checkpoints / "validation.csv")
        axes.plot(curve["step"], curve["mAP50"], marker="o", color=COLOURS[start], label=NAMES[start])
    axes.set(xlabel="step", ylabel="mAP50 on validation", ylim=(0, None), title="Face masks, 320x320, batch 8")
    axes.grid(color="#e3e6ea")
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
