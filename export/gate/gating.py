"""Run every file beside the checkpoint over the validation part, and close the gate on those that differ."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vigie.bundle import POSTPROCESS, SAVED_MODEL, Bundle
from vigie.data.parts import Sample
from vigie.detectors import load_detector, runnable
from vigie.errors import BadBundle
from vigie.export.building import files_of
from vigie.export.gate.judging import Ran, judge
from vigie.export.gate.results import FileResult
from vigie.export.gate.side_by_side import Outcome, evaluate_side_by_side
from vigie.export.gate.timing import milliseconds
from vigie.export.gate.tolerances import TOLERANCES
from vigie.ports import Detector
from vigie.progress import progress as progress_bar
from vigie.training.evaluating.evaluation import EVALUATION_SCORE_THRESHOLD, Evaluation

logger = logging.getLogger(__name__)

_THREADS = (1, 2)
_IN_GRAPH = f"{SAVED_MODEL} by its own detections"


@dataclass(frozen=True, slots=True)
class Judged:
    """`evaluations` are those of the files that could be run."""

    checkpoint: Evaluation
    files: tuple[FileResult, ...]
    evaluations: Mapping[str, Evaluation]


def judge_files(
    checkpoint: Detector,
    bundle: Bundle,
    samples: Iterable[Sample],
    *,
    pictures: int,
    files: Sequence[str] | None = None,
    timed: bool = True,
    progress: bool = True,
) -> Judged:
    """Judge the `files` of a bundle, all of them without any, on `samples`, of which there are `pictures`.

    `checkpoint` has the threshold of evaluations. A file that cannot be run is refused like one that differs. Times are
    of a few pictures, and not judged.

    Raises:
        BadData: there is no picture, or one cannot be decoded.
    """
    chosen = {file: runtime for file, runtime in runnable(bundle).items() if file in (files or TOLERANCES)}
    detectors, broken = _loaded(bundle, chosen)
    evaluation, outcomes = evaluate_side_by_side(
        checkpoint, detectors, samples, pictures=pictures,
        input_size=bundle.decoder().input_size, progress=progress, description=_said(chosen),
    )  # fmt: skip
    times = _times(bundle, chosen, broken, progress) if timed else {}
    results = [
        _result(bundle, file, runtime, evaluation, outcomes, broken.get(file), times.get(file, {}))
        for file, runtime in chosen.items()
    ]
    ran = {file: one.evaluation for file, one in outcomes.items() if one.evaluation is not None}
    return Judged(evaluation, tuple(results), {file: ran[file] for file in chosen if file in ran})


def evaluated_detector(bundle: Bundle, file: str, runtime: str) -> Detector:
    """A file in its own runtime, with the threshold of evaluations.

    Raises:
        BadBundle: it cannot be loaded.
    """
    # The operator that finds boxes inside is proven on one thread: with several it can be wrong.
    threads = 1 if file == POSTPROCESS else max(_THREADS)
    return load_detector(
        bundle.folder, file=file, runtime=runtime, threads=threads, score_threshold=EVALUATION_SCORE_THRESHOLD
    )


def _said(files: Mapping[str, str]) -> str:
    return f"judging {len(files)} files beside the checkpoint" if len(files) > 1 else f"judging {''.join(files)}"


def _loaded(bundle: Bundle, files: Mapping[str, str]) -> tuple[dict[str, Detector], dict[str, str]]:
    """Each file in its own runtime, and those that cannot be loaded with the reason."""
    detectors: dict[str, Detector] = {}
    broken = {}
    for file, runtime in files.items():
        try:
            detectors[file] = evaluated_detector(bundle, file, runtime)
            if file == SAVED_MODEL:
                detectors[_IN_GRAPH] = _in_graph(bundle)
        except BadBundle as error:
            broken[file] = str(error)
    return detectors, broken


def _in_graph(bundle: Bundle) -> Detector:
    from vigie.export.files.in_graph import InGraphDetector  # noqa: PLC0415 - TensorFlow is told to be quiet by now

    return InGraphDetector(bundle)


def _times(
    bundle: Bundle, files: Mapping[str, str], broken: Mapping[str, str], progress: bool
) -> dict[str, dict[int, float | None]]:
    times: dict[str, dict[int, float | None]] = {}
    runs = [(file, threads) for file in files if file not in broken for threads in _THREADS]
    with progress_bar(runs, description="timing", unit="run", show=progress) as bar:
        for file, threads in bar:
            bar.set_description(f"timing {file}, {threads} threads")
            times.setdefault(file, {})[threads] = milliseconds(bundle.folder, file, files[file], threads=threads)
    return times


def _result(
    bundle: Bundle,
    file: str,
    runtime: str,
    checkpoint: Evaluation,
    outcomes: Mapping[str, Outcome],
    broken: str | None,
    times: Mapping[int, float | None],
) -> FileResult:
    tolerance = TOLERANCES[file]
    size = sum(bundle.manifest.files[name].bytes for name in files_of(bundle, file))
    outcome, in_graph = outcomes.get(file), outcomes.get(_IN_GRAPH) if file == SAVED_MODEL else None
    failed = broken or (outcome and outcome.failed) or (in_graph and in_graph.failed)
    if outcome is None or outcome.evaluation is None or failed:
        why = (failed or "it was not run",)
        return FileResult(file=file, runtime=runtime, bytes=size, tolerance=tolerance, measured=None, reasons=why)
    own = None if in_graph is None else in_graph.evaluation
    ran = Ran(outcome.evaluation, outcome.differences, own)
    measured, reasons = judge(checkpoint, ran, tolerance)
    found = outcome.differences
    return FileResult(
        file=file,
        runtime=runtime,
        bytes=size,
        tolerance=tolerance,
        measured=measured,
        boxes_px=None if found is None else found.boxes_px,
        boxes_compared=0 if found is None else found.boxes,
        score=None if found is None else found.score,
        mAP_in_graph=None if own is None else own.coco["mAP"],
        milliseconds=dict(times),
        reasons=reasons,
    )
