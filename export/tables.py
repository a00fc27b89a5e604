"""What notebooks show of an export."""

from collections.abc import Mapping, Sequence

import pandas as pd

from vigie.bundle import Bundle, ThresholdFacts
from vigie.detectors import runnable
from vigie.export.building import files_of
from vigie.export.gate.results import FileResult, Gate


def gate_table(gate: Gate) -> pd.DataFrame:
    """A row a file: what it reaches on validation, how far it lies from the checkpoint, and whether it passed."""
    threads = sorted({threads for one in gate.files for threads in one.milliseconds})
    rows: list[dict[str, object]] = [{"file": "checkpoint", "mAP": gate.checkpoint.mAP, "mAP50": gate.checkpoint.mAP50}]
    rows[0] |= {f"AP {label}": found.AP for label, found in gate.checkpoint.per_class.items()}
    rows += [_row(one, threads) for one in gate.files]
    return pd.DataFrame(rows).set_index("file")


def refusals_table(gate: Gate) -> pd.DataFrame:
    """A row a reason why a file is not in the bundle."""
    rows = [(one.file, reason) for one in gate.refusals for reason in one.reasons]
    return pd.DataFrame(rows, columns=["file", "why it is refused"]).set_index("file")


def thresholds_table(thresholds: Mapping[str, ThresholdFacts]) -> pd.DataFrame:
    """A row a label: its threshold with the 95 % interval, how it was chosen, and what it gives on validation."""
    rows = {label: facts.model_dump() for label, facts in thresholds.items()}
    columns = list(ThresholdFacts.model_fields)
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("label")


def files_table(bundle: Bundle) -> pd.DataFrame:
    """One row a file that runs: its size and what it reaches on the test part."""
    rows = {
        file: {"runtime": runtime, "MB": _megabytes(bundle, file), **bundle.manifest.metrics.get(file, {})}
        for file, runtime in runnable(bundle).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("file")


def _row(one: FileResult, threads: Sequence[int]) -> dict[str, object]:
    found = one.measured
    classes = {} if found is None else found.per_class
    return {
        "file": one.file,
        "passed": one.passed,
        "MB": round(one.bytes / 1e6, 2),
        "mAP": None if found is None else found.mAP,
        "mAP50": None if found is None else found.mAP50,
        "boxes off by, px": one.boxes_px,
        "scores off by": one.score,
        **{f"ms, threads: {number}": one.milliseconds.get(number) for number in threads},
        **{f"AP {label}": of.AP for label, of in classes.items()},
    }


def _megabytes(bundle: Bundle, file: str) -> float:
    """Of a SavedModel its variables too."""
    return round(sum(bundle.manifest.files[name].bytes for name in files_of(bundle, file)) / 1e6, 2)
