"""The losses of every step, and what each validation found, in CSV files that grow while the training runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vigie.errors import BadRun

LOSSES_FILE = "losses.csv"
VALIDATION_FILE = "validation.csv"
COLUMNS = ("step", "total", "class", "box")
METRICS = ("mAP", "mAP50")
_AP50 = "AP50 "


class LossHistory:
    """`step,total,class,box`, a line a step, each step once and in order."""

    def __init__(self, path: Path, *, resumed_at: int) -> None:
        """Go on after step `resumed_at`: what an interrupted training wrote behind its last checkpoint is dropped."""
        self._path = path
        _cut(path, COLUMNS, resumed_at)

    def append(self, rows: npt.NDArray[np.float32]) -> None:
        """Write rows of step, total, class and box loss, those of the next steps."""
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{int(step)},{total:.6g},{klass:.6g},{box:.6g}\n" for step, total, klass, box in rows)


class ValidationHistory:
    """`step,mAP,mAP50,total,class,box,AP50 LABEL ...`, a line a validation; what was not measured is empty."""

    def __init__(self, path: Path, labels: Sequence[str], *, resumed_at: int) -> None:
        self._path = path
        self._labels = labels
        _cut(path, ("step", *METRICS, *COLUMNS[1:], *(_AP50 + label for label in labels)), resumed_at)

    def append(
        self,
        step: int,
        metrics: Mapping[str, float | None],
        losses: Sequence[float],
        ap50: Mapping[str, float | None],
    ) -> None:
        values = [*(metrics[name] for name in METRICS), *losses, *(ap50[label] for label in self._labels)]
        with self._path.open("a", encoding="utf-8") as file:
            file.write(",".join([str(step), *("" if value is None else f"{value:.6g}" for value in values)]) + "\n")


def read_losses(path: Path) -> pd.DataFrame:
    """Columns step, total, class, box; a last line that a killed process left half-written is left out.

    Raises:
        BadRun: there is no such file, or it is another thing.
    """
    losses = _read(path)
    if tuple(losses.columns) != COLUMNS:
        raise BadRun(f"{path}: has the columns {list(losses.columns)}, expected {list(COLUMNS)}; delete it and train")
    losses = losses.dropna()
    return losses.astype({"step": int})


def read_validation(path: Path) -> pd.DataFrame:
    """A row a validation, with the columns that `ValidationHistory` names; empty where none was made yet.

    Raises:
        BadRun: there is no such file, or it is another thing.
    """
    found = _read(path)
    if tuple(found.columns[:3]) != ("step", *METRICS):
        raise BadRun(
            f"{path}: has the columns {list(found.columns)}, expected step, mAP, mAP50 ...; delete it and train"
        )
    return found.dropna(subset=["step"]).astype({"step": int})


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, on_bad_lines="skip")
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BadRun(f"{path}: holds no losses ({error}); run `make train` first") from error


def _cut(path: Path, columns: Sequence[str], last: int) -> None:
    """Leave the header and the whole lines up to a step."""
    header = pd.DataFrame(columns=list(columns)).to_csv(index=False)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[1:] if last and path.is_file() else []
    kept = [line for line in lines if line.endswith("\n") and int(line.partition(",")[0]) <= last]
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(header + "".join(kept), encoding="utf-8")
    unfinished.replace(path)
