"""The records that a run trains on."""

import logging

from vigie.data.divide import input_hash
from vigie.data.fit_anchors import fit_anchors
from vigie.data.manifest import FILE, Manifest, load_manifest
from vigie.data.prepare import prepare
from vigie.data.synthetic import write_set
from vigie.errors import BadData
from vigie.experiment import Split
from vigie.runs import Run

logger = logging.getLogger(__name__)

SYNTHETIC_PICTURES = 800
SYNTHETIC_SEED = 1


def draw_pictures(run: Run, *, progress: bool = True) -> None:
    """Draw the run's pictures if it draws its own and has not yet."""
    if run.draws_pictures and not run.pictures.is_dir():
        write_set(run.pictures, pictures=SYNTHETIC_PICTURES, seed=SYNTHETIC_SEED, progress=progress)


def records_of(run: Run, *, progress: bool = True) -> Manifest:
    """Draw the run's pictures if it draws its own, and prepare them, unless the records are of these very pictures.

    Anchors that are auto are fitted to them.

    Raises:
        BadData, BadAnnotation, BadPicture: what is wrong with the pictures.
    """
    manifest = _prepared(run, progress)
    fit_anchors(run)
    return manifest


def _prepared(run: Run, progress: bool) -> Manifest:
    if run.prepared is not None:
        return load_manifest(run.records)
    draw_pictures(run, progress=progress)
    if (run.records / FILE).is_file():
        try:
            manifest = load_manifest(run.records)
        except BadData as error:
            logger.info("preparing again: %s", error)
        else:
            if (manifest.source_hash, manifest.classes, manifest.split) == _wanted(run):
                logger.info("already prepared: records=%s", run.records)
                return manifest
    return prepare(
        run.pictures,
        run.records,
        classes=run.experiment.classes,
        split=run.experiment.split,
        progress=progress,
    )


def _wanted(run: Run) -> tuple[str, tuple[str, ...], Split]:
    return input_hash(run.pictures, run.experiment.split), run.experiment.classes, run.experiment.split
