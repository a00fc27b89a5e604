"""The losses of every step, in a CSV file that grows while the training runs."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vigie.errors import BadRun

LOSSES_FILE = "losses.csv"
COLUMNS = ("step", "total", "class", "box")


class LossHistory:
    """`step,total,class,box`, a line a step, each step once and in order."""

    def __init__(self, path: Path, *, resumed_at: int) -> None:
        """Go on after step `resumed_at`: what an interrupted training wrote behind its last checkpoint is dropped."""
        self._path = path
        self._last = resumed_at
        lines = [",".join(COLUMNS)]
        if resumed_at and path.is_file():
            kept = read_losses(path)
            kept = kept[kept["step"] <= resumed_at]
            lines += [",".join(str(value) for value in row) for row in kept.itertuples(index=False)]
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
        unfinished.replace(path)

    def append(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Write the rows (step, total, class, box) that are new; returns them."""
        new = rows[rows[:, 0] > self._last]
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{int(step)},{total:.6g},{klass:.6g},{box:.6g}\n" for step, total, klass, box in new)
        if len(new):
            self._last = int(new[-1, 0])
        return new


def read_losses(path: Path) -> pd.DataFrame:
    """Columns step, total, class, box; a last line that a killed process left half-written is left out.

    Raises:
        BadRun: there is no such file, or it is another thing.
    """
    try:
        losses = pd.read_csv(path, on_bad_lines="skip")
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BadRun(f"{path}: holds no losses ({error}); run `make train` first") from error
    if tuple(losses.columns) != COLUMNS:
        raise BadRun(f"{path}: has the columns {list(losses.columns)}, expected {list(COLUMNS)}; delete it and train")
    losses = losses.dropna()
    return losses.astype({"step": int})
