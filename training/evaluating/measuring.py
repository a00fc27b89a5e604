"""What a person names on the command line or in a notebook, as a detector and samples that can be evaluated."""

from collections.abc import Iterable
from pathlib import Path

from vigie.arrangement import arranged
from vigie.bundle import open_bundle
from vigie.data.manifest import FILE as MANIFEST_FILE
from vigie.data.prepare import Part, Sample, load_manifest, read_part, read_set
from vigie.decoded_heads import DecodedDetector
from vigie.detectors import load_detector
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import InputSize
from vigie.runs import INPUTS_FILE, load_run
from vigie.settings import Settings
from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD
from vigie.training.network.checkpoint_detector import checkpoint_detector


def detector_of(model: Path, *, runtime: str | None = None, settings: Settings | None = None) -> Detector:
    """A run's checkpoint, a bundle's file or one of somebody else, that reports down to an evaluation's threshold.

    With `settings` it runs as theirs or a benchmark say, where no `runtime` is named.

    Raises:
        BadRun, BadBundle: `model` is none of them, or is not whole.
    """
    if (model / INPUTS_FILE).is_file():
        return checkpoint_detector(load_run(model), score_threshold=EVALUATION_SCORE_THRESHOLD)
    if settings is not None:
        return arranged(settings, model, runtime=runtime).detector(EVALUATION_SCORE_THRESHOLD)
    return load_detector(model, runtime=runtime, score_threshold=EVALUATION_SCORE_THRESHOLD)


def input_size_of(model: Path) -> InputSize | None:
    """What the model of a run, of a bundle or in a file of somebody else takes; None where it takes any size.

    Raises:
        BadRun, BadBundle: `model` is neither, or is not whole.
    """
    if (model / INPUTS_FILE).is_file():
        sizes = load_run(model).experiment.model
        return InputSize(sizes.input_width, sizes.input_height, sizes.resize)
    if model.is_file():
        detector = load_detector(model)
        return detector.input_size if isinstance(detector, DecodedDetector | RawHeadsDetector) else None
    taken = open_bundle(model, verify=False).manifest.input
    return InputSize(taken.width, taken.height, taken.resize)


def samples_of(data: Path, part: Part) -> tuple[Iterable[Sample], int | None]:
    """A part of prepared records with its number of pictures, or all of a folder of annotated pictures.

    Raises:
        BadData: there is neither in `data`.
    """
    if (data / MANIFEST_FILE).is_file():
        return read_part(data, part), load_manifest(data).parts[part].pictures
    return read_set(data), None
