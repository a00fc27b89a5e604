"""Progress bars with the time left: on standard error, as a widget in JupyterLab, nowhere when nobody looks.

Notebooks that are executed without a person in front of them print text bars, which the runner shows in its
terminal; it says so, and how often, in the environment variable below.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm as tqdm_here
from tqdm.std import tqdm as tqdm_text

INTERVAL_VARIABLE = "VIGIE_PROGRESS_INTERVAL_S"
_TERMINAL_INTERVAL_S = 0.2
_LOG_INTERVAL_S = 10.0


def interval_s() -> float:
    """Between two updates: short for a person, long for a log file."""
    return _TERMINAL_INTERVAL_S if sys.stderr.isatty() else _LOG_INTERVAL_S


def progress(
    items: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    initial: int = 0,
    description: str,
    unit: str = "it",
    show: bool = True,
) -> Any:
    """A tqdm bar over `items`, or one to `update` by hand; `show=False` counts in silence."""
    given = os.environ.get(INTERVAL_VARIABLE)
    in_widget = given is None and "ipykernel" in sys.modules
    kind = tqdm_here if in_widget else tqdm_text
    return kind(
        items,
        total=total,
        initial=initial,
        desc=description,
        unit=f" {unit}",
        disable=not show,
        mininterval=float(given) if given else (_TERMINAL_INTERVAL_S if in_widget else interval_s()),
        maxinterval=_LOG_INTERVAL_S,
        dynamic_ncols=not in_widget and given is None,
        file=None if in_widget else sys.stderr,
    )
