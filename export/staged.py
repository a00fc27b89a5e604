"""A run's files beside the versions of a bundle, before they are published."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vigie.bundle import INT8, Bundle, ModelFacts, open_bundle
from vigie.data.quiet import quiet_tensorflow
from vigie.errors import BadBundle, BadSetting
from vigie.export.building import build_files, chosen_files
from vigie.export.gate.results import Asked, read_gate
from vigie.export.publishing import new_staging, seal
from vigie.runs import Run
from vigie.training.train import Trained, load_trained

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Staged:
    """A run's files that can be run and measured; in `out` already if the same training was exported before."""

    run: Run
    out: Path
    trained: Trained
    asked: Asked
    bundle: Bundle
    published: bool


@contextmanager
def staged_files(
    run: Run,
    out: Path,
    *,
    files: Sequence[str] = (),
    qat: bool = True,
    precision: float | None = None,
    progress: bool = True,
) -> Iterator[Staged]:
    """Build the run's files beside the versions of `out`; they are gone at the end unless they were published.

    `files` are those of `vigie.export.building.FILES` that are wanted; all without any.

    Raises:
        BadRun: the training is not whole, or stale.
        BadData: the run's records are missing.
        BadSetting: a precision out of range, or a file that there is not.
    """
    wanted = chosen_files(files)
    if precision is not None and not 0 < precision <= 1:
        raise BadSetting(f"precision {precision}: a precision lies above 0 and is at most 1, such as 0.9")
    quiet_tensorflow()
    asked = Asked(precision=precision, qat=qat, files=wanted if files else ())
    trained = load_trained(run)
    if same := _exported_before(out, trained, asked):
        yield Staged(run, out, trained, asked, same, published=True)
        return
    folder = new_staging(out)
    try:
        facts = build_files(run, trained, folder, files=wanted, progress=progress)
        bundle = seal(folder, facts, name=out.resolve().name)
        yield Staged(run, out, trained, asked, bundle, published=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def facts_of(staged: Staged, **changed: object) -> ModelFacts:
    """Those of the files as they stand, but for what changed."""
    kept = staged.bundle.manifest.model_dump(include=set(ModelFacts.model_fields))
    return ModelFacts.model_validate({**kept, **changed})


def _exported_before(out: Path, trained: Trained, asked: Asked) -> Bundle | None:
    """The newest version in `out`, if it is whole, of this training, and was asked for in this way."""
    try:
        newest = open_bundle(out)
        gate = read_gate(newest)
    except BadBundle as error:
        logger.info("exporting anew: %s", error)
        return None
    same = newest.manifest.training_key == trained.key and (
        (gate.asked.precision, gate.asked.files) == (asked.precision, asked.files)
    )
    # Whether the int8 file may learn only matters where it is not there.
    return newest if same and (gate.asked.qat == asked.qat or INT8 in newest.manifest.files) else None
