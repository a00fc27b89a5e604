"""A run's checkpoint becomes a model bundle, in three steps: build the files, measure each, publish them as one."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from vigie.bundle import CARD_FILE, Bundle, InputSpec, ModelFacts, open_bundle
from vigie.code_version import code_version
from vigie.data.prepare import Part, load_manifest, read_part
from vigie.data.quiet import quiet_tensorflow
from vigie.detectors import load_detector, runnable
from vigie.errors import BadBundle
from vigie.export.card import card
from vigie.export.publishing import new_staging, seal, write_bundle
from vigie.runs import Run
from vigie.training.evaluation import EVALUATION_SCORE_THRESHOLD, Evaluation, evaluate
from vigie.training.train import Trained, load_trained

logger = logging.getLogger(__name__)

TRIAL_FOLDER = "trial"
TRIAL_PICTURES = 12
# A seed that no training set draws from: `MovingScene` has backgrounds of its own besides.
TRIAL_SCENE = "synthetic:seed=2026"
_METRICS = ("mAP", "mAP50", "mAP75")


@dataclass(frozen=True, slots=True)
class Staged:
    """A run's files that can be run and measured; in `out` already if the same training was exported before."""

    run: Run
    out: Path
    bundle: Bundle
    published: bool


def export(run: Run, out: Path, *, progress: bool = True) -> Bundle:
    """Export the run's best weights as the next version in `out`, each file measured on the test part.

    The same training exported before is returned as it is.

    Raises:
        BadRun: the training is not whole, or stale.
        BadData: the run's records are missing.
    """
    with staged_files(run, out) as staged:
        if staged.published:
            return staged.bundle
        return publish(staged, evaluate_files(staged, progress=progress))


@contextmanager
def staged_files(run: Run, out: Path) -> Iterator[Staged]:
    """Build the run's files beside the versions of `out`; they are gone at the end unless they were published.

    Raises:
        BadRun: the training is not whole, or stale.
        BadData: the run's records are missing.
    """
    quiet_tensorflow()
    trained = load_trained(run)
    if same := _exported_before(out, trained):
        yield Staged(run, out, same, published=True)
        return
    folder = new_staging(out)
    try:
        facts = _build(run, trained, folder)
        yield Staged(run, out, seal(folder, facts, name=out.resolve().name), published=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def evaluate_files(staged: Staged, *, part: Part = "test", progress: bool = True) -> dict[str, Evaluation]:
    """Measure each file by its own runtime on a part of the run's records."""
    records, labels = staged.run.records, staged.bundle.manifest.labels
    pictures = load_manifest(records).parts[part].pictures  # for the bar, which then knows the time left
    evaluations = {}
    for file, runtime in runnable(staged.bundle).items():
        detector = load_detector(
            staged.bundle.folder, file=file, runtime=runtime, score_threshold=EVALUATION_SCORE_THRESHOLD
        )
        evaluations[file] = evaluate(
            detector, read_part(records, part), labels=labels, max_pictures=pictures, progress=progress
        )
    return evaluations


def publish(staged: Staged, evaluations: Mapping[str, Evaluation]) -> Bundle:
    """Make the staged files the next version, their metrics in its manifest and its card."""
    if staged.published:
        return staged.bundle
    metrics = {file: _numbers(evaluation) for file, evaluation in evaluations.items()}
    facts = ModelFacts.model_validate(
        {**staged.bundle.manifest.model_dump(include=set(ModelFacts.model_fields)), "metrics": metrics}
    )
    staged.bundle.folder.joinpath(CARD_FILE).write_text(card(staged.out.resolve().name, facts), encoding="utf-8")
    bundle = write_bundle(staged.bundle.folder, staged.out, facts)
    logger.info("exported: bundle=%s step=%d", bundle.folder, facts.step)
    return bundle


def files_table(bundle: Bundle) -> pd.DataFrame:
    """One row a file that runs: its size and what it reaches on the test part."""
    rows = {
        file: {"runtime": runtime, "MB": _megabytes(bundle, file), **bundle.manifest.metrics.get(file, {})}
        for file, runtime in runnable(bundle).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("file")


def _build(run: Run, trained: Trained, folder: Path) -> ModelFacts:
    # Here, for TensorFlow is quiet only when it is told so before its import.
    from vigie.export.files import OUTPUTS, SAVED_MODEL_FILE, TFLITE_FILE, write_saved_model, write_tflite  # noqa: PLC0415
    from vigie.training.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB, raw_model  # noqa: PLC0415

    spec = run.experiment.model
    pixels = InputSpec(
        width=spec.input_width,
        height=spec.input_height,
        resize=spec.resize,
        mean_rgb=PIXEL_MEAN_RGB,
        std_rgb=PIXEL_STD_RGB,
    )
    model = raw_model(run.experiment, trained.checkpoints, normalised_input=True)
    write_saved_model(model, folder, pixels)
    write_tflite(model, folder / TFLITE_FILE, pixels)
    if not (folder / SAVED_MODEL_FILE).is_file():
        raise BadBundle(f"{folder}: TensorFlow wrote no {SAVED_MODEL_FILE}")
    return ModelFacts(
        default=TFLITE_FILE,
        labels=run.experiment.classes,
        input=pixels,
        outputs=OUTPUTS,
        anchors=spec.grid,
        data_hash=load_manifest(run.records).source_hash,
        training_key=trained.key,
        code=code_version(),
        trial_source=_trial(run, folder),
        step=trained.step,
    )


def _trial(run: Run, folder: Path) -> str:
    """Drawn pictures can be drawn again; of others a few test pictures travel with the model."""
    if run.prepared is None and run.pictures == run.folder / "voc":
        return TRIAL_SCENE
    (folder / TRIAL_FOLDER).mkdir()
    with_objects = (sample for sample in read_part(run.records, "test") if sample.objects)
    for number, sample in enumerate(islice(with_objects, TRIAL_PICTURES), start=1):
        (folder / TRIAL_FOLDER / f"{number:02}.jpg").write_bytes(sample.picture.jpeg())
    return TRIAL_FOLDER


def _exported_before(out: Path, trained: Trained) -> Bundle | None:
    """The newest version in `out`, if it is whole and of this training."""
    try:
        newest = open_bundle(out)
    except BadBundle as error:
        logger.info("exporting anew: %s", error)
        return None
    return newest if newest.manifest.training_key == trained.key and len(runnable(newest)) > 1 else None


def _numbers(evaluation: Evaluation) -> dict[str, float | None]:
    values = evaluation.to_json()
    return {name: values[name] for name in _METRICS}


def _megabytes(bundle: Bundle, file: str) -> float:
    """Of a SavedModel its variables too."""
    named = [file] if file.endswith(".tflite") else [name for name in bundle.manifest.files if _of_saved_model(name)]
    return round(sum(bundle.manifest.files[name].bytes for name in named) / 1e6, 2)


def _of_saved_model(name: str) -> bool:
    return name.endswith(".pb") or name.startswith(("variables/", "assets/"))
