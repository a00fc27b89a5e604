"""Our side of `training.py`: the training of a run, in turns or with its memory looked at."""

import argparse
from pathlib import Path

from turns import Child

from vigie.runs import load_run
from vigie.training.train import train

EPOCHS = 5


def speed(folder: Path, child: Child) -> None:
    done = train(load_run(folder), progress=False, on_step=lambda step, _total: child.after(step))
    rows = [line.split(",") for line in done.losses.read_text().splitlines()[1:]]
    child.tell({"losses": [float(total) for _step, total, *_ in rows]})


def memory(folder: Path, steps: int, child: Child) -> None:
    epochs: list[float] = []

    def on_step(step: int, _total: float) -> None:
        if step % (steps // EPOCHS) == 0:
            epochs.append(peak_mb_since_last())

    train(load_run(folder), progress=False, on_step=on_step)
    child.tell({"epochs_mb": epochs, "end_mb": peak_mb_since_last()})


def peak_mb_since_last() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    (mark_kb,) = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
    Path("/proc/self/clear_refs").write_text("5")  # the mark falls to what is resident now
    return mark_kb / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=("speed", "memory"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("turn", type=int)
    given = parser.parse_args()
    told_to = Child(turn=given.turn, steps=given.steps)
    if given.work == "speed":
        speed(given.folder, told_to)
    else:
        memory(given.folder, given.steps, told_to)
