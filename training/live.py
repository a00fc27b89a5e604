"""What a notebook shows while a training runs: curves that grow, and TensorBoard."""

import atexit
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure
from tensorboard import manager

from vigie.errors import BadRun
from vigie.progress import INTERVAL_VARIABLE
from vigie.runs import Run
from vigie.training import plots
from vigie.training.recording import OnStep

_REDRAW_S = 10.0  # a figure takes some .3 s of a core that could train
_HEIGHT_PX = 700


@contextmanager
def live_curves(run: Run, *, redraw_s: float = _REDRAW_S) -> Iterator[OnStep]:
    """Shows the run's losses in the cell's output, anew every `redraw_s` and at the end; give `train` what it yields.

    A training that was whole before shows its curves at once.
    """
    shown = display(Figure(), display_id=True)
    drawn = 0.0

    def on_step(_step: int, _loss: float) -> None:
        nonlocal drawn
        if time.monotonic() - drawn > redraw_s:
            drawn = time.monotonic()
            _update()

    def _update() -> None:
        with suppress(BadRun):  # no step is written yet
            shown.update(plots.loss_curve(run))

    try:
        yield on_step
    finally:
        _update()


def show_tensorboard(run: Run) -> HTML | Markdown:
    """TensorBoard of all runs beside this one, in the cell's output; it ends with the kernel.

    Where nobody looks, as when `make` executes the notebook, it says instead how to open it.
    """
    if INTERVAL_VARIABLE in os.environ:
        return Markdown("`make tensorboard` shows this run beside the others, and so does this cell in JupyterLab.")
    # JupyterLab may have been started without the environment's folder in the search path.
    os.environ.setdefault("TENSORBOARD_BINARY", str(Path(sys.executable).with_name("tensorboard")))
    started = manager.start(["--logdir", str(run.folder.parent.resolve())])
    if isinstance(started, manager.StartLaunched):
        atexit.register(_end, started.info.pid)
    elif not isinstance(started, manager.StartReused):
        return Markdown(f"TensorBoard did not start: `{started}`. Try `make tensorboard` in a terminal.")
    address = f"http://localhost:{started.info.port}/"
    return HTML(f'<iframe src="{address}" width="100%" height="{_HEIGHT_PX}" frameborder="0"></iframe>')


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
