"""A run's checkpoint becomes a model bundle: build the files, prove each equal to it, publish those that are."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vigie.bundle import GATE_FILE, INT8, Bundle, ThresholdFacts
from vigie.data.parts import Part
from vigie.data.prepare import load_manifest, read_part
from vigie.detectors import runnable
from vigie.errors import BadBundle
from vigie.export.building import files_of, write_int8_of
from vigie.export.card.card import write_card
from vigie.export.gate.gating import Judged, evaluated_detector, judge_files
from vigie.export.gate.judging import measure
from vigie.export.gate.results import Gate, Refusal, read_gate
from vigie.export.gate.side_by_side import evaluate_side_by_side
from vigie.export.gate.thresholds import NOT_REACHED, choose_thresholds, thresholds_of
from vigie.export.publishing import seal, write_bundle
from vigie.export.staged import Staged, facts_of, staged_files
from vigie.ports import Detector
from vigie.runs import Run
from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD, Evaluation
from vigie.training.network.checkpoint_detector import checkpoint_detector

logger = logging.getLogger(__name__)

QUANTISATION_FOLDER = "quantisation"
"""In the run: what a quantisation-aware training leaves, to go on with after an interruption."""

_METRICS = ("mAP", "mAP50", "mAP75")


@dataclass(frozen=True, slots=True)
class Gated:
    """What the gate found, and the thresholds of labels, chosen with the file that will be the default one."""

    gate: Gate
    thresholds: Mapping[str, ThresholdFacts]


@dataclass(frozen=True, slots=True)
class Exported:
    """The bundle, None where no file passed; and the files that are not in it."""

    bundle: Bundle | None
    refused: tuple[Refusal, ...]


def export(
    run: Run,
    out: Path,
    *,
    files: Sequence[str] = (),
    progress: bool = True,
    qat: bool = True,
    precision: float | None = None,
    timed: bool = True,
) -> Exported:
    """Export the run's best weights as the next version in `out`: those files that pass the gate.

    `files`: those of `vigie.export.building.FILES` that are wanted; all without any. `qat`: where the int8 file loses
    too much, the model learns on with its numbers rounded. `precision`: that the thresholds of labels are to reach on
    validation; without, they are those with the best F1. `timed`: each file's time is taken.

    The same training exported before in the same way is returned as it is.

    Raises:
        BadRun: the training is not whole, or stale.
        BadData: the run's records are missing.
        BadSetting: a precision out of range, or a file that there is not.
    """
    with staged_files(run, out, files=files, qat=qat, precision=precision, progress=progress) as staged:
        gated = pass_gate(staged, timed=timed, progress=progress)
        if staged.published or gated.gate.default is None:
            return Exported(staged.bundle if staged.published else None, gated.gate.refusals)
        return publish(staged, gated, evaluate_files(staged, gated, progress=progress))


def pass_gate(staged: Staged, *, timed: bool = True, progress: bool = True) -> Gated:
    """Judge each file by its own runtime on the validation part, beside the checkpoint; choose thresholds there too.

    Of files that are published already it is what was found then.
    """
    if staged.published:
        return Gated(read_gate(staged.bundle), staged.bundle.manifest.chosen_thresholds)
    checkpoint = checkpoint_detector(staged.run, score_threshold=EVALUATION_SCORE_THRESHOLD)
    judged = _judged(staged, checkpoint, None, timed, progress)
    if staged.asked.qat and _loses(judged, INT8):
        _learn_int8(staged, progress)
        judged = _with(judged, _judged(staged, checkpoint, INT8, timed, progress))
    pictures, checkpoints = judged.checkpoint.pictures, measure(judged.checkpoint)
    gate = Gate(asked=staged.asked, pictures=pictures, checkpoint=checkpoints, files=judged.files)
    return Gated(gate, {} if gate.default is None else _chosen(staged, judged.evaluations[gate.default]))


def evaluate_files(
    staged: Staged, gated: Gated, *, part: Part = "test", progress: bool = True
) -> dict[str, Evaluation]:
    """Measure the files that passed on a part of the run's records, the default one first, which has intervals too."""
    records, bundle = staged.run.records, staged.bundle
    passed = [one.file for one in gated.gate.files if one.passed]
    detectors = {
        file: evaluated_detector(bundle, file, runtime) for file, runtime in runnable(bundle).items() if file in passed
    }
    default = gated.gate.default
    if default is None:
        return {}
    pictures = load_manifest(records).parts[part].pictures
    evaluation, others = evaluate_side_by_side(
        detectors.pop(default), detectors, read_part(records, part), pictures=pictures,
        input_size=bundle.decoder().input_size, intervals=True, progress=progress,
        description=f"measuring {len(passed)} files on the {part} part",
    )  # fmt: skip
    measured = {default: evaluation}
    for file, outcome in others.items():
        if outcome.evaluation is None:
            raise BadBundle(f"{file}: passed the gate and breaks down on the {part} part: {outcome.failed}")
        measured[file] = outcome.evaluation
    return measured


def publish(staged: Staged, gated: Gated, evaluations: Mapping[str, Evaluation]) -> Exported:
    """Make the files that passed the next version, their metrics in its manifest and its card.

    `evaluations` are those on the test part, the default file's first.
    """
    refused = gated.gate.refusals
    if staged.published:
        return Exported(staged.bundle, refused)
    default = gated.gate.default
    if default is None:
        return Exported(None, refused)
    folder = staged.bundle.folder
    for refusal in refused:
        _remove(folder, files_of(staged.bundle, refusal.file))
    (folder / GATE_FILE).write_text(gated.gate.model_dump_json(indent=1) + "\n", encoding="utf-8")
    facts = facts_of(
        staged,
        default=default,
        thresholds=thresholds_of(gated.thresholds),
        chosen_thresholds=gated.thresholds,
        metrics={file: _numbers(evaluation) for file, evaluation in evaluations.items()},
    )
    write_card(folder, staged.out.resolve().name, facts, gated.gate, evaluations[default], staged.run)
    bundle = write_bundle(folder, staged.out, facts)
    logger.info("exported: bundle=%s step=%d default=%s", bundle.folder, facts.step, default)
    return Exported(bundle, refused)


def _judged(staged: Staged, checkpoint: Detector, file: str | None, timed: bool, progress: bool) -> Judged:
    # Sealed again: a file may be another one than when it was built.
    bundle = seal(staged.bundle.folder, facts_of(staged), name=staged.bundle.manifest.name)
    records = staged.run.records
    pictures = load_manifest(records).parts["validation"].pictures
    return judge_files(
        checkpoint, bundle, read_part(records, "validation"), pictures=pictures,
        files=None if file is None else [file], timed=timed, progress=progress,
    )  # fmt: skip


def _chosen(staged: Staged, found: Evaluation) -> dict[str, ThresholdFacts]:
    general = staged.bundle.manifest.score_threshold
    chosen = choose_thresholds(found, precision=staged.asked.precision, general=general)
    for label, facts in chosen.items():
        if facts.chosen_by.endswith(NOT_REACHED):
            logger.warning("%s: %s on validation, so boxes are shown from %.2f on", label, facts.chosen_by, general)
    return chosen


def _remove(folder: Path, names: Sequence[str]) -> None:
    """The files, and the folders that are empty then."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
        for parent in (folder / name).parents:
            if parent == folder or not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()


def _loses(judged: Judged, file: str) -> bool:
    return any(one.file == file and one.measured is not None and not one.passed for one in judged.files)


def _with(judged: Judged, again: Judged) -> Judged:
    """What was judged once more counts."""
    newer = {one.file: one.model_copy(update={"quantisation_aware": True}) for one in again.files}
    files = tuple(newer.get(one.file, one) for one in judged.files)
    return Judged(judged.checkpoint, files, {**judged.evaluations, **again.evaluations})


def _learn_int8(staged: Staged, progress: bool) -> None:
    from vigie.export.quantisation.quantisation_aware import quantisation_aware  # noqa: PLC0415 - needs a quiet TensorFlow

    logger.info("the int8 file loses too much: the model learns on with its numbers rounded")
    run = staged.run
    model = quantisation_aware(run, staged.trained, folder=run.folder / QUANTISATION_FOLDER, progress=progress)
    write_int8_of(run, model, staged.bundle.folder / INT8)


def _numbers(evaluation: Evaluation) -> dict[str, float | None]:
    values = evaluation.to_json()
    return {name: values[name] for name in _METRICS}
