"""In a kernel of its own, as in JupyterLab."""

import re
import time
import urllib.error
import urllib.request

import nbformat
import pytest
from nbclient import NotebookClient

from vigie.progress import INTERVAL_VARIABLE
from vigie.runs import Run

CELLS = """
%matplotlib inline
import os, urllib.request
from pathlib import Path
from vigie.runs import load_run
from vigie.training.live import live_curves, show_tensorboard
run = load_run(Path({folder!r}))

with live_curves(run) as on_step:
    on_step(1, 2.0)

os.environ[{variable!r}] = "10"
show_tensorboard(run)

del os.environ[{variable!r}]
frame = show_tensorboard(run)
frame

address = frame.data.split('"')[1]
urllib.request.urlopen(address + "data/runs", timeout=60).read().decode()
"""


@pytest.fixture(scope="module")
def outputs(trained_run: Run) -> list[list[nbformat.NotebookNode]]:
    """Of each cell after the first; the kernel has ended."""
    cells = CELLS.format(folder=str(trained_run.folder), variable=INTERVAL_VARIABLE).strip().split("\n\n")
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(text) for text in cells]
    NotebookClient(book, timeout=120, kernel_name="python3").execute()
    return [cell.outputs for cell in book.cells[1:]]


def test_the_curves_of_a_training_stand_in_one_place(outputs: list[list[nbformat.NotebookNode]]) -> None:
    (shown,) = outputs[0]
    assert len(shown.data["image/png"]) > 10_000


def test_a_notebook_that_nobody_watches_starts_no_server(outputs: list[list[nbformat.NotebookNode]]) -> None:
    assert "make tensorboard" in outputs[1][-1].data["text/markdown"]


def test_tensorboard_stands_in_the_notebook_and_ends_with_the_kernel(
    outputs: list[list[nbformat.NotebookNode]], trained_run: Run
) -> None:
    frame, runs = outputs[2][-1].data["text/html"], outputs[3][-1].data["text/plain"]
    assert f"{trained_run.name}/checkpoints/validation" in runs
    (address,) = re.findall(r"http://localhost:\d+/", frame)
    assert ended(address), f"{address} still answers"


def ended(address: str) -> bool:
    for _ in range(100):
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except (urllib.error.URLError, ConnectionError):
            return True
        time.sleep(0.1)
    return False
