"""Whether a run's records fit what it is to learn, told before the training starts."""

from pathlib import Path

from vigie.data.manifest import Manifest, load_manifest
from vigie.data.prepare import LABEL_MAP
from vigie.data.unpack import read_label_map
from vigie.errors import BadData
from vigie.experiment import Experiment
from vigie.runs import Run

_AGAIN = "run `vigie data prepare` (or `make data`) again"


def check_records(run: Run) -> None:
    """
    Raises:
        BadData: as `check_classes`; or the records lack what a training needs: pictures, and objects to validate on.
        BadAnnotation: their label map cannot be read.
    """
    manifest = check_classes(run.records, run.experiment)
    for part in ("train", "validation"):
        facts = manifest.parts[part]
        if not facts.pictures or not any(facts.boxes.values()):
            what = "no picture" if not facts.pictures else f"no object on its {facts.pictures} pictures"
            why = "the best weights are chosen by it" if part == "validation" else "nothing could be learnt"
            raise BadData(
                f"{run.records}: the part {part} holds {what}, and {why}; give it a share by split.{part} or lists "
                f"by split.lists, and {_AGAIN}"
            )


def check_classes(records: Path, experiment: Experiment) -> Manifest:
    """
    Raises:
        BadData: the records are missing or half-made, or of other classes than the experiment.
        BadAnnotation: their label map cannot be read.
    """
    manifest = load_manifest(records)
    if manifest.classes != experiment.classes:
        raise BadData(
            f"{records}: has the classes {', '.join(manifest.classes)}, the experiment has "
            f"{', '.join(experiment.classes)}; make them the same, in one order, and {_AGAIN}"
        )
    _check_label_map(records / LABEL_MAP, manifest)
    return manifest


def _check_label_map(path: Path, manifest: Manifest) -> None:
    if not path.is_file():
        return
    found = read_label_map(path)
    if found != dict(enumerate(manifest.classes, start=1)):
        items = ", ".join(f"{number} {name}" for number, name in sorted(found.items()))
        raise BadData(
            f"{path}: says {items}; the records were made with {', '.join(manifest.classes)}, from 1; {_AGAIN}"
        )
