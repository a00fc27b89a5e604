"""The face-mask model: the recipe with two seeds, then the test part, once.

    python bench/facemask_model.py train --work FOLDER
    python bench/facemask_model.py test --work FOLDER
    vigie export FOLDER/seed-N --out models/facemask --file model_int8.tflite --file model_fp16.tflite

The recipe is config/experiments/facemask.yaml. Its runs lie in FOLDER and go on there after an interruption; at most
two hours each on two cores that nothing else uses. Metrics, curves and figures are written into docs/facemask/, to be
committed. What is chosen is chosen on validation; `test` refuses to measure a second time. (An export measures the test
part too, for its card: export when the recipe stands.)
"""

import argparse
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from ablation import RESULTS, ROOT, TABLE, on_part, trained, write_results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vigie.data.prepare import read_part
from vigie.page import Outline
from vigie.pictures import Pixels
from vigie.runs import Run
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.verdicts import Kind
from vigie.training.evaluating.reporting.worst import Shot, area_around, false_boxes, missed_boxes
from vigie.training.figures.bars import by_slice, error_kinds, intervals
from vigie.training.figures.matrix import confusion
from vigie.training.losses import VALIDATION_FILE

RECIPE = ROOT / "config" / "experiments" / "facemask.yaml"
SEEDS = (1, 2)
TEST_FILE = RESULTS / "test.json"
DPI = 110
COLOURS = ("#0072b2", "#d55e00")
OUTLINES = {
    "right": ("#00c48c", "-"),
    "false": ("#f4511e", "-"),
    "true": ("#56b4e9", "--"),
    "missed": ("#ffe14d", "--"),
}
A_ROW = 6  # crops
FIGURES = {"classes": intervals, "errors": error_kinds, "slices": by_slice, "confusion": confusion}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "test"))
    parser.add_argument("--work", type=Path, required=True)
    asked = parser.parse_args()
    if asked.what == "test" and TEST_FILE.exists():
        sys.exit(f"{TEST_FILE}: the test part was measured already; what is chosen from now on is chosen on it")
    asked.work.mkdir(parents=True, exist_ok=True)
    runs = {}
    for seed in SEEDS:
        run = trained(asked.work, of_seed(seed))
        runs[run.name] = run
        if asked.what == "train":
            print(json.dumps(write_results(run.name, run)))
    if asked.what == "train":
        curves(runs).savefig(RESULTS / "curves.png", dpi=DPI)
        ablation().savefig(RESULTS / "ablation.png", dpi=DPI)
        return
    found = {name: on_part(run, "test") for name, run in runs.items()}
    TEST_FILE.write_text(json.dumps({name: one.to_json() for name, one in found.items()}, indent=1) + "\n")
    chosen = max(runs, key=lambda name: best_validation(runs[name]))
    print(f"{chosen} is the better one on validation")
    for name, figure in FIGURES.items():
        figure(found[chosen]).savefig(RESULTS / f"{name}.png", dpi=DPI)
    crops(runs[chosen], found[chosen]).savefig(RESULTS / "crops.jpg", dpi=DPI)


def of_seed(seed: int) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(RECIPE.read_text())
    return {**values, "name": f"seed-{seed}", "training": {**values["training"], "seed": seed}}


def best_validation(run: Run) -> float:
    return float(pd.read_csv(run.checkpoints / VALIDATION_FILE)["mAP"].max())


def curves(runs: dict[str, Run]) -> Figure:
    """mAP50 and the rare class on validation, over the steps of both seeds."""
    figure = Figure(figsize=(7.6, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for (name, run), colour in zip(runs.items(), COLOURS, strict=True):
        found = pd.read_csv(run.checkpoints / VALIDATION_FILE)
        for column, dashes in (("mAP50", "-"), ("mAP", "--"), ("AP50 mask_weared_incorrect", ":")):
            axes.plot(found["step"], found[column], dashes, color=colour, label=f"{column}, {name}")
    axes.set(xlabel="step", ylabel="on validation", xlim=(0, None), ylim=(0, 1))
    axes.grid(color="#e3e6ea")
    figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def ablation() -> Figure:
    """What each change alone gave or cost, beside the base."""
    table = pd.read_csv(TABLE).set_index("row")
    shown = ["mAP", "mAP50", "AP50 mask_weared_incorrect"]
    gained = (table[shown] - table.loc["base", shown]).drop(index="base").sort_values("mAP")
    figure = Figure(figsize=(7.6, 0.9 + 0.5 * len(gained)), layout="constrained")
    axes = figure.add_subplot()
    gained.plot.barh(ax=axes, color=[*COLOURS, "#009e73"], width=0.8)
    axes.axvline(0, color="#222222", linewidth=1)
    axes.set(xlabel="more than the base, on validation", ylabel="")
    axes.grid(axis="x", color="#e3e6ea")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8)
    return figure


def crops(run: Run, found: Evaluation) -> Figure:
    """The surest right boxes of each class above the surest wrong ones and the largest missed ones: three rows."""
    wrong = [shot for shots in false_boxes(found, per_kind=2).values() for shot in shots] + missed_boxes(found, 2)
    chosen = [*right_boxes(found, each=A_ROW // len(found.per_class)), *wrong]
    wanted = {shot.picture for shot in chosen}
    pixels = {place: one.picture.rgb() for place, one in enumerate(read_part(run.records, "test")) if place in wanted}
    rows = -(-len(chosen) // A_ROW)
    figure = Figure(figsize=(1.75 * A_ROW, 2.05 * rows), layout="constrained")
    grid = list(figure.subplots(rows, A_ROW, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    for axes, shot in zip(grid, chosen, strict=False):
        crop(axes, pixels[shot.picture], shot)
    return figure


def right_boxes(found: Evaluation, *, each: int) -> list[Shot]:
    """Of each class the surest right boxes, of different pictures."""
    shots = []
    for label in found.per_class:
        best: dict[int, tuple[float, Shot]] = {}
        for place, picture in enumerate(found.per_picture):
            for one in picture.judged.verdicts:
                seen = picture.result.found[one.place]
                if one.kind is Kind.RIGHT and seen.label == label and seen.score > best.get(place, (0.0, None))[0]:
                    outline = Outline.of(seen.box, "right")
                    said = f"{label} {seen.score:.0%}"
                    area = area_around([seen.box], picture.size)
                    best[place] = seen.score, Shot(place, picture.filename, area, (outline,), "right", said)
        surest = sorted(best.values(), key=lambda pair: -pair[0])[:each]
        shots += [shot for _, shot in surest]
    return shots


def crop(axes: Axes, pixels: Pixels, shot: Shot) -> None:
    axes.imshow(pixels, interpolation="bilinear")
    for one in shot.outlines:
        colour, dashes = OUTLINES[one.kind]
        place = (one.left - 0.5, one.top - 0.5)  # imshow's pixels are centred on whole numbers
        axes.add_patch(Rectangle(place, one.width, one.height, fill=False, edgecolor=colour, linestyle=dashes))
    if shot.area is not None:
        axes.set(xlim=(shot.area.left - 0.5, shot.area.right - 0.5), ylim=(shot.area.bottom - 0.5, shot.area.top - 0.5))
    axes.set_title("\n".join(textwrap.wrap(f"{shot.heading}: {shot.said}", 30)), fontsize=6)


if __name__ == "__main__":
    main()
