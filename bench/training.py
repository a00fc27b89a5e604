"""Training: our loop beside Model Garden's own, and what our loop takes of memory.

Both sides train the same network on the face-mask pictures at 320x320, batch 8, with Adam on the same curve and the
same augmentation (flip, and scale jitter of .8 to 1.25), each in a process of its own, in turns of `TURN` steps:

- Model Garden: `train_lib.run_experiment` with its RetinaNetTask, decoder, parser and default input pipeline,
  `pad=False` so that its tensors have the same shape.
- Vigie: `vigie.training.train.train`, with its own input pipeline, records and checks, in the precision that it chooses
  for this processor (`--precision float32` tells what it is worth without), and with the environment of `make train`.

The pictures of the two come in different orders, so their losses cannot be compared one by one. A third process
therefore runs Model Garden's loop over the very batches that our loop takes, outside the turns. All begin with the same
weights. The loss of step 1 is compared, and the curves: smoothed, which is the mean over each `SMOOTHED` steps, the
largest difference over the first `CURVE` steps as a share of Model Garden's.

Memory is our loop's at 512x512, batch 8, in a process of its own, over five epochs of a small part of the pictures: the
most that was resident in the second and in the fifth epoch.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import tensorflow as tf
import tf_keras
from timing import table
from turns import Side

from vigie.data.prepare import prepare
from vigie.experiment import Experiment
from vigie.runs import Run, open_run
from vigie.training.network.model import build_network

BENCH = Path(__file__).parent
FACE_MASK = BENCH.parent.parent / "shared" / "data" / "facemask"
CLASSES = ("with_mask", "without_mask", "mask_weared_incorrect")
BATCH = 8
TURN = 20
SMOOTHED = 10
CURVE = 100
GARDEN, OURS = "Model Garden", "vigie"
SPEED_UP, CURVE_DIFFERENCE = 1.15, 0.05
MEMORY_STEPS = 25  # five epochs
FEW = 58  # pictures, of which .7 are for training: five steps
PEAK_GB, GROWTH = 6.0, 0.03
OF_MAKE_TRAIN = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def prepared(
    folder: Path, *, size: int, steps: int, pictures: Path, precision: str = "auto", init: Path | None = None
) -> Run:
    """Validates and saves at the end only."""
    parts = None if init is None else ["backbone", "fpn", "head"]
    experiment = Experiment.model_validate(
        {
            "name": "facemask",
            "classes": CLASSES,
            "model": {"input_width": size, "input_height": size},
            "training": {
                "steps": steps,
                "batch": BATCH,
                "learning_rate": 0.001,
                "warmup_steps": 20,
                "checkpoint_every": steps,
                "init": None if init is None else str(init),
                "init_parts": parts,
            },
            "augmentation": {"flip": 0.5, "scale": 1.0, "scale_min": 0.8, "scale_max": 1.25},
            "hardware": {"strategy": "one", "precision": precision},
        }
    )
    folder.mkdir()
    (folder / "facemask.yaml").write_text(experiment.to_yaml())
    run = open_run(folder / "run", experiment=folder / "facemask.yaml", voc=pictures)
    prepare(run.pictures, run.records, classes=CLASSES, split=experiment.split, progress=False)
    return run


def compare(folder: Path, steps: int, precision: str) -> list[str]:
    """Returns what is not as it should be."""
    weights = folder / "weights" / "ckpt-0"
    run = prepared(folder / "speed", size=320, steps=steps, pictures=FACE_MASK, precision=precision, init=weights)
    tf_keras.utils.set_random_seed(1)
    tf.train.Checkpoint(model=build_network(run.experiment)).write(str(weights))
    # One after the other, so that none makes its graph while another is measured.
    same = Side(BENCH / "training_garden.py", "our_batches", run.folder, weights, TURN)
    theirs: list[float] = same.told()["losses"]
    same.end()
    sides = {
        GARDEN: Side(BENCH / "training_garden.py", "speed", run.folder, weights, TURN),
        OURS: Side(BENCH / "training_ours.py", "speed", run.folder, steps, TURN, environment=OF_MAKE_TRAIN),
    }
    for side in sides.values():
        side.told()
    taken = {name: {"seconds": 0.0, "processor": 0.0} for name in sides}
    turns = steps // TURN - 2  # neither the first, in which the graph is made, nor the last, with its checkpoint
    for turn in range(turns):
        for name in list(sides) if turn % 2 else list(sides)[::-1]:
            told = sides[name].go()
            taken[name] = {what: taken[name][what] + told[what] for what in taken[name]}
    sides[GARDEN].go()
    ours: list[float] = sides[OURS].go()["losses"]
    for side in sides.values():
        side.end()
    return judge_speed(taken, turns * TURN * BATCH) + judge_losses(ours, theirs)


def judge_speed(taken: dict[str, dict[str, float]], pictures: int) -> list[str]:
    seconds = {name: one["seconds"] for name, one in taken.items()}
    print(table(f"training at 320x320, batch {BATCH}", seconds, pictures, "pictures", GARDEN))
    faster = {what: taken[GARDEN][what] / taken[OURS][what] for what in ("seconds", "processor")}
    print(
        f"  {faster['seconds']:.2f} times Model Garden's pictures a second (at least {SPEED_UP}); by processor time "
        f"{faster['processor']:.2f} times"
    )
    return [] if faster["seconds"] >= SPEED_UP else [f"{faster['seconds']:.2f} times Model Garden's pictures a second"]


def judge_losses(ours: list[float], theirs: list[float]) -> list[str]:
    first = abs(ours[0] - theirs[0]) / theirs[0]
    smooth = [
        [sum(losses[at : at + SMOOTHED]) for at in range(0, CURVE - SMOOTHED + 1, SMOOTHED)]
        for losses in (ours, theirs)
    ]
    curve = max(abs(one - other) / other for one, other in zip(*smooth, strict=True))
    print(f"  loss of step 1: {ours[0]:.6f}; Model Garden on the same batch: {theirs[0]:.6f}")
    print(
        f"  loss over {CURVE} steps, mean of each {SMOOTHED}: differs by at most {curve:.2%} (within "
        f"{CURVE_DIFFERENCE:.0%})"
    )
    checks = {f"the loss of step 1 differs by {first:.1e}": first < 1e-5, "loss curve": curve <= CURVE_DIFFERENCE}
    return [text for text, good in checks.items() if not good]


def memory(folder: Path, size: int) -> list[str]:
    """Returns what is not as it should be."""
    few = folder / "few"
    for kind in ("images", "annotations"):
        (few / kind).mkdir(parents=True)
    for annotation in sorted((FACE_MASK / "annotations").iterdir())[:FEW]:
        shutil.copy(annotation, few / "annotations")
        (picture,) = (FACE_MASK / "images").glob(f"{annotation.stem}.*")
        shutil.copy(picture, few / "images")
    run = prepared(folder / "memory", size=size, steps=MEMORY_STEPS, pictures=few)
    side = Side(BENCH / "training_ours.py", "memory", run.folder, MEMORY_STEPS, TURN, environment=OF_MAKE_TRAIN)
    told = side.told()
    side.end()
    epochs, end = told["epochs_mb"], told["end_mb"]
    peak_gb, growth = max(*epochs, end) / 1000, epochs[4] / epochs[1] - 1
    print(f"memory of our loop at {size}x{size}, batch {BATCH}")
    print(
        f"  most in each epoch: {', '.join(f'{epoch:.0f}' for epoch in epochs)} MB; validating at the end: {end:.0f} MB"
    )
    print(f"  peak {peak_gb:.2f} GB (under {PEAK_GB:.0f}); fifth epoch: {growth:+.1%} (within {GROWTH:.0%})")
    checks = {f"peak of {peak_gb:.2f} GB": peak_gb < PEAK_GB, f"growth of {growth:.1%}": abs(growth) <= GROWTH}
    return [text for text, good in checks.items() if not good]


def main() -> int:
    parser = argparse.ArgumentParser(description="training beside Model Garden's own loop, and its memory")
    parser.add_argument("--steps", type=int, default=160, help=f"of each side: a multiple of {TURN}, at least {CURVE}")
    parser.add_argument(
        "--precision", default="auto", help="of our side, as in hardware.precision; Model Garden's: float32"
    )
    parser.add_argument("--only", choices=("speed", "memory"))
    options = parser.parse_args()
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "memory":
            missed += compare(Path(folder), options.steps, options.precision)
        if options.only != "speed":
            missed += memory(Path(folder), 512)
    for text in missed:
        print(f"NOT MET: {text}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
