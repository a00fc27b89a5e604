"""One training on two devices, and on two workers that talk over loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vigie.loopback import HOST, free_port
from vigie.runs import EXPERIMENT_FILE, Run, load_run
from vigie.training.checkpoints import checkpoint_steps
from vigie.training.facts import FACTS_FILE
from vigie.training.losses import read_losses
from vigie.training.train import load_trained

CopyRun = Callable[..., Run]

PATIENCE_S = 400
KILLED = 9

TRAINS = """
import json, os, sys
from pathlib import Path
from vigie.data.quiet import quiet_tensorflow

quiet_tensorflow()
import numpy as np
import tensorflow as tf

run_folder, copies, killed_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
if "TF_CONFIG" not in os.environ:
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
from vigie.runs import load_run
from vigie.training import loop
from vigie.training.train import train

networks = []
build = loop.build_network
loop.build_network = lambda experiment: networks.append(build(experiment)) or networks[0]

def die(step, loss):
    if step == killed_at:
        os._exit(9)  # as after kill -9, but when both have made the step

train(load_run(run_folder), progress=False, on_step=die)
for variable in networks[0].trainable_variables:
    assert isinstance(variable, tf.distribute.DistributedValues), variable
copied = zip(*(variable.values for variable in networks[0].trainable_variables), strict=True)
for number, copy in enumerate(copied):
    np.savez(copies / f"{os.getpid()}-{number}.npz", *[value.numpy() for value in copy])
"""


def started(
    run: Run, copies: Path, *, killed_at: int = 0, cluster: dict[str, Any] | None = None
) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    if cluster is not None:
        environment["TF_CONFIG"] = json.dumps(cluster)
    command = [sys.executable, "-c", TRAINS, str(run.folder), str(copies), str(killed_at)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def ended(*processes: subprocess.Popen[str]) -> None:
    try:
        for process in processes:
            _, errors = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, errors
    finally:
        end(*processes)


def killed(first: subprocess.Popen[str], *others: subprocess.Popen[str]) -> None:
    try:
        _, errors = first.communicate(timeout=PATIENCE_S)
        assert first.returncode == KILLED, errors
    finally:
        end(first, *others)


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def on(run: Run, strategy: str) -> Run:
    """The same run, shorter, on other hardware."""
    values = yaml.safe_load((run.folder / EXPERIMENT_FILE).read_text())
    values["hardware"] = {"strategy": strategy}
    values["training"] |= {"steps": 8, "checkpoint_every": 4, "learning_rate": 0.01}
    (run.folder / EXPERIMENT_FILE).write_text(yaml.safe_dump(values))
    return load_run(run.folder)


def assert_copies_are_one(folder: Path) -> None:
    first, second = (np.load(path) for path in sorted(folder.iterdir()))
    assert first.files
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name])


def start_workers(run: Run, copies: Path, killed_at: int = 0) -> list[subprocess.Popen[str]]:
    addresses = [f"{HOST}:{free_port()}" for _ in range(2)]
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        started(run, copies, killed_at=killed_at, cluster={"cluster": {"worker": addresses}, "task": task})
        for task in tasks
    ]


@pytest.mark.timeout(450)
def test_two_devices_of_a_machine_train_one_network(tiny_run: Run, copied: CopyRun, tmp_path: Path) -> None:
    run = on(copied(tiny_run, {}), "mirrored")
    copies = tmp_path / "copies"
    copies.mkdir()
    ended(started(run, copies))
    losses = read_losses(load_trained(run).losses)
    assert losses["total"].iloc[-1] < losses["total"].iloc[0]
    assert_copies_are_one(copies)
    (sitting,) = json.loads((run.checkpoints / FACTS_FILE).read_text())["sittings"]
    assert (sitting["environment"]["strategy"], sitting["environment"]["replicas"]) == ("MirroredStrategy", 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_workers_train_one_network_and_the_chief_writes_it_down(
    tiny_run: Run, copied: CopyRun, tmp_path: Path
) -> None:
    run = on(copied(tiny_run, {}), "multi_worker")
    copies = tmp_path / "copies"
    copies.mkdir()
    killed(*start_workers(run, copies, killed_at=6))
    assert checkpoint_steps(run.checkpoints) == [0, 4]
    ended(*start_workers(run, copies))
    assert checkpoint_steps(run.checkpoints) == [0, 4, 8]
    losses = read_losses(load_trained(run).losses)
    assert list(losses["step"]) == list(range(1, 9))
    assert losses["total"].iloc[-1] < losses["total"].iloc[0]
    assert_copies_are_one(copies)
    first, second = json.loads((run.checkpoints / FACTS_FILE).read_text())["sittings"]
    assert (first["first_step"], second["first_step"], second["last_step"]) == (0, 4, 8)
    assert second["environment"]["replicas"] == 2
