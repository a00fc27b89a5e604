"""training.json: what a training ran on, from what to what, and what happened to it."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tensorflow as tf

from vigie.code_version import code_version
from vigie.data.manifest import load_manifest
from vigie.errors import BadRun
from vigie.machine import processor_name
from vigie.runs import Run
from vigie.whole import write_whole

FACTS_FILE = "training.json"
_PACKAGES = ("tensorflow", "tf-keras", "tf-models-official", "numpy")


@dataclass(frozen=True, slots=True)
class Rollback:
    """At `step` the training broke down, on these `pictures`; it went back to the checkpoint of step `back_to`.

    From there on the learning rate has the factor `rate_factor`. The last one, after which it gave up, has neither.
    """

    step: int
    loss: str
    pictures: tuple[str, ...]
    back_to: int | None = None
    rate_factor: float | None = None


@dataclass(slots=True)
class Sitting:
    """One start of the training. It has no end if it was killed. Times are UTC."""

    started: str
    first_step: int
    code: str
    environment: Mapping[str, Any]
    last_step: int | None = None
    ended: str | None = None


@dataclass(slots=True)
class TrainingFacts:
    """`restored` is the report of the initial weights, None where the training began from scratch."""

    path: Path
    seeds: Mapping[str, int]
    data_hash: str
    experiment_digest: str
    restored: Any = None
    rollbacks: list[Rollback] = field(default_factory=list)
    sittings: list[Sitting] = field(default_factory=list)

    @property
    def rate_factor(self) -> float:
        """What the rollbacks so far have left of the learning rate."""
        factors = [one.rate_factor for one in self.rollbacks if one.rate_factor is not None]
        return factors[-1] if factors else 1.0

    def begin(self, first_step: int, environment: Mapping[str, Any]) -> None:
        """A new sitting, from the step after `first_step`."""
        self.sittings.append(Sitting(_now(), first_step, code_version(), environment))
        self.write()

    def end(self, last_step: int) -> None:
        self.sittings[-1].last_step = last_step
        self.sittings[-1].ended = _now()
        self.write()

    def write(self) -> None:
        """Raises OSError when there is no room for it."""
        values = {name: getattr(self, name) for name in ("seeds", "data_hash", "experiment_digest", "restored")}
        values["rollbacks"] = [asdict(one) for one in self.rollbacks]
        values["sittings"] = [asdict(one) for one in self.sittings]
        write_whole(self.path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")

    def read_earlier(self) -> None:
        """Take over what earlier sittings of this training wrote.

        Raises:
            BadRun: the file is damaged.
        """
        if not self.path.is_file():
            return
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
            self.restored = values["restored"]
            self.rollbacks = [Rollback(**{**one, "pictures": tuple(one["pictures"])}) for one in values["rollbacks"]]
            self.sittings = [Sitting(**one) for one in values["sittings"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRun(f"{self.path}: cannot be read ({error!r}); delete it to go on without it") from error


def facts_of(run: Run) -> TrainingFacts:
    """Those of earlier sittings, where there were some.

    Raises:
        BadRun: the file is damaged.
        BadData: the records are missing or half-made.
    """
    facts = TrainingFacts(
        run.checkpoints / FACTS_FILE,
        seeds={"training": run.experiment.training.seed, "split": run.experiment.split.seed},
        data_hash=load_manifest(run.records).source_hash,
        experiment_digest=run.experiment.digest(),
    )
    facts.read_earlier()
    return facts


def environment(strategy: tf.distribute.Strategy, precision: str) -> dict[str, Any]:
    """Of this process, for a person who wants to repeat a training or wonders at its speed."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": {
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads() or "all",
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads() or "all",
        },
        "gpus": [_gpu_name(device) for device in tf.config.list_physical_devices("GPU")],
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
        "precision": precision,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def finite_text(loss: float) -> str:
    """JSON knows no number that is none."""
    return f"{loss:.6g}"


def _gpu_name(device: Any) -> str:
    return str(tf.config.experimental.get_device_details(device).get("device_name", device.name))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
