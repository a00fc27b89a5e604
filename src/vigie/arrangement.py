"""How a model is run on this machine: what `vigie benchmark MODEL --save` found out, and what all stages make of it.

It stands in `benchmark.yaml` beside the settings, an entry a model, by the bundle's name or that of a single file.
A new version of a bundle keeps its entry as long as it has the file and the size of its input is the same.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from vigie.adapters import explain
from vigie.bundle import Bundle, open_bundle
from vigie.detectors import load_detector
from vigie.errors import BadSetting
from vigie.machine import processor_name
from vigie.ports import Detector
from vigie.settings import AUTO, Settings
from vigie.whole import write_whole

logger = logging.getLogger(__name__)

UNMEASURED_THREADS = 2
"""The most that a runtime gets where nothing was measured."""

_HEAD = """\
# Written by `vigie benchmark MODEL --save`, read where worker.runtime is auto. It holds for this machine alone.
"""

_Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Section):
    processor: str
    cores: _Count

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} {'core' if self.cores == 1 else 'cores'}"


class Latency(_Section):
    """How one picture after the other is done soonest."""

    threads: _Count
    milliseconds: Annotated[float, Field(ge=0)]


class Throughput(_Section):
    processes: _Count
    threads: _Count
    frames_per_s: Annotated[float, Field(ge=0)]


class Entry(_Section):
    """What was measured and chosen for one model. `options` are further ones of the runtime's adapter."""

    measured_at: AwareDatetime
    version: int | None = None
    input: str | None = None
    training_key: str | None = None
    file: str | None = None
    runtime: str
    precision: str
    options: dict[str, str] = {}
    latency: Latency
    throughput: Annotated[tuple[Throughput, ...], Field(min_length=1, description="the most frames first")]


class Saved(_Section):
    """`benchmark.yaml`."""

    machine: Machine
    models: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Arranged:
    """How to run one model. Without `file` and `runtime` it is the bundle's default file with its own runtime."""

    model: Path
    threads: int
    file: str | None = None
    runtime: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    throughput: tuple[Throughput, ...] = ()

    def detector(self, score_threshold: float | None = None) -> Detector:
        """
        Raises:
            BadBundle, BadSetting, Unavailable: as `load_detector`.
        """
        return load_detector(
            self.model,
            runtime=self.runtime,
            file=self.file,
            threads=self.threads,
            score_threshold=score_threshold,
            runtime_options=self.options,
        )

    def workers(self, most: int) -> tuple[int, int]:
        """Processes and threads of each for the most frames a second, with at most `most` processes."""
        best = next((one for one in self.throughput if one.processes <= most), None)
        if best is None or best.processes == 1:
            return 1, self.threads  # one worker is as quick as it can be
        return best.processes, best.threads

    def threads_of(self, processes: int) -> int:
        """Of each of so many processes."""
        if processes == 1:
            return self.threads
        measured = {one.processes: one.threads for one in self.throughput}
        return measured.get(processes, max(1, min(self.threads, usable_cores() // processes)))


def this_machine() -> Machine:
    return Machine(processor=processor_name(), cores=usable_cores())


def usable_cores() -> int:
    """Those that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def arranged(settings: Settings, model: Path, *, runtime: str | None = None, threads: int | None = None) -> Arranged:
    """What is asked for here, else what the settings say, else what was measured, else the bundle's own.

    Raises:
        BadBundle: `model` is a folder and no bundle.
        BadSetting: what was saved cannot be read.
    """
    knobs = settings.worker
    named = runtime or knobs.runtime
    asked = None if named == AUTO else named
    wanted = threads or (None if knobs.threads == AUTO else knobs.threads)
    entry = None if asked else saved_entry(settings.benchmark_file, model)
    if entry is None:
        usual = min(UNMEASURED_THREADS, usable_cores())
        return Arranged(model, wanted or usual, runtime=asked, options=knobs.options(asked))
    chosen = wanted or entry.latency.threads
    logger.info(
        "as benchmark chose: runtime=%s file=%s precision=%s threads=%d",
        entry.runtime, entry.file, entry.precision, chosen,
    )  # fmt: skip
    return Arranged(
        model,
        chosen,
        file=entry.file,
        runtime=entry.runtime,
        options={**knobs.options(entry.runtime), **entry.options},
        throughput=entry.throughput if wanted is None else (),
    )


def saved_entry(path: Path | None, model: Path) -> Entry | None:
    """What was saved for this model, where it holds for this machine and for this version of the model.

    Raises:
        BadBundle: `model` is a folder and no bundle.
        BadSetting: what was saved cannot be read.
    """
    saved = None if path is None else read_saved(path)
    if saved is None:
        return None
    bundle = None if model.is_file() else open_bundle(model, verify=False)
    name = model_key(model, bundle)
    entry = saved.models.get(name)
    if entry is None:
        return None
    why = _other_machine(saved.machine) or (None if bundle is None else _other_model(entry, bundle))
    if why is not None:
        logger.warning("%s: of no use for %s: %s; run `vigie benchmark %s --save` again", path, name, why, model)
        return None
    return entry


def model_key(model: Path, bundle: Bundle | None) -> str:
    """By what name a model's entry is found."""
    return model.name if bundle is None else bundle.manifest.name


def read_saved(path: Path) -> Saved | None:
    """None where nothing was ever saved.

    Raises:
        BadSetting: it cannot be read.
    """
    mend = "remove it, or run `vigie benchmark MODEL --save` again"
    try:
        return Saved.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadSetting(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path}: this is no YAML: {' '.join(str(error).split())}; {mend}") from error
    except ValidationError as error:
        raise BadSetting(f"{explain(error, str(path))}; {mend}") from error


def save(path: Path, name: str, entry: Entry) -> None:
    """Put a model's entry to those that are there; entries of another machine go, and so does a broken file."""
    machine = this_machine()
    try:
        before = read_saved(path)
    except BadSetting as error:
        logger.warning("replaced: %s", error)
        before = None
    others: dict[str, Entry] = {}
    if before is not None and before.machine == machine:
        others = before.models
    elif before is not None:
        logger.warning("%s: was measured on %s, this is %s: its entries go", path, before.machine, machine)
    saved = Saved(machine=machine, models={**others, name: entry})
    write_whole(path, _HEAD + yaml.safe_dump(saved.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def _other_machine(machine: Machine) -> str | None:
    here = this_machine()
    return None if machine == here else f"it was measured on another machine ({machine}; this is {here})"


def _other_model(entry: Entry, bundle: Bundle) -> str | None:
    if entry.file is not None and entry.file not in bundle.manifest.files:
        return f"version {bundle.manifest.version} has no {entry.file}"
    if entry.input is not None and entry.input != (size := input_text(bundle)):
        return f"version {bundle.manifest.version} takes {size}, and {entry.input} was measured"
    return None


def input_text(bundle: Bundle) -> str:
    return f"{bundle.manifest.input.width}x{bundle.manifest.input.height}"
