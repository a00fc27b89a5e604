"""The model card: what a person who is handed the folder wants to know."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vigie.bundle import CARD_FILE, FP16, FP32, INT8, ONNX, POSTPROCESS, SAVED_MODEL, InputSpec, ModelFacts
from vigie.data.manifest import Manifest
from vigie.data.parts import PARTS
from vigie.data.prepare import load_manifest, read_part
from vigie.experiment import About
from vigie.export.card_pictures import (
    CURVES_FILE,
    METRICS_FILE,
    THRESHOLDS_FILE,
    Mistake,
    write_figures,
    write_mistakes,
)
from vigie.export.gate import FileResult, Gate
from vigie.export.tolerances import FEWEST_BOXES
from vigie.resizing import GREY
from vigie.runs import Run
from vigie.training.evaluation import Evaluation
from vigie.training.metrics.bootstrap import Interval
from vigie.training.metrics.slices import SliceNumbers
from vigie.training.reporting.words import headline

NOT_STATED = "not stated"

_FILES = {
    INT8: "int8 in and out, whole numbers inside: the smallest, and the fastest on most processors",
    FP32: "float32, raw heads",
    FP16: "float32 in and out, weights of half the size, raw heads",
    SAVED_MODEL: "with `variables/`: TF Serving's; signatures `serving_default`, `serving_jpeg` and `raw_heads`",
    ONNX: "float32, raw heads, for ONNX Runtime and OpenVINO",
    POSTPROCESS: "gives boxes itself, for phones and MediaPipe; to be run on one thread",
}
_WEAK = 0.5  # a slice with less than this share of the whole's AP50 is called weak


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card is made of. `evaluation` is that of the default file on the test part."""

    name: str
    model: ModelFacts
    gate: Gate
    evaluation: Evaluation
    data: Manifest
    source: str
    data_licence: str
    weights_licence: str
    started_from: str


def write_card(folder: Path, name: str, facts: ModelFacts, gate: Gate, evaluation: Evaluation, run: Run) -> None:
    """Write README.md into `folder`, and beside it the pictures that it shows."""
    write_figures(folder, evaluation)
    false, missed = write_mistakes(folder, evaluation, read_part(run.records, "test"))
    about = run.experiment.about or About()
    of_its_own = "drawn by Vigie" if run.draws_pictures else NOT_STATED
    init = run.experiment.training.init
    told = CardFacts(
        name=name,
        model=facts,
        gate=gate,
        evaluation=evaluation,
        data=load_manifest(run.records),
        source=about.source or of_its_own,
        data_licence=about.data_licence or ("none is needed, Vigie drew it" if run.draws_pictures else NOT_STATED),
        weights_licence=about.weights_licence or NOT_STATED,
        started_from="random numbers" if init is None else init if init == "imagenet" else Path(init).name,
    )
    (folder / CARD_FILE).write_text(card(told, false, missed), encoding="utf-8")


def card(facts: CardFacts, false: Sequence[Mistake] = (), missed: Sequence[Mistake] = ()) -> str:
    """Markdown."""
    model = facts.model
    parts = [
        f"# {_text(facts.name)}",
        f"An object detector, SSD MobileNet V2 FPNLite, made by Vigie {model.code} after {model.step} training steps.\n"
        f"It finds {', '.join(f'`{label}`' for label in model.labels)}.",
        f"On pictures that it never saw: {headline(facts.evaluation)}",
        _classes(facts),
        _curves(),
        _mistakes(false, missed),
        _limits(facts),
        _data(facts),
        _files(facts),
        _running(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _classes(facts: CardFacts) -> str:
    evaluation = facts.evaluation
    intervals = dict(zip(evaluation.per_class, evaluation.analysis.intervals.ap50, strict=True))
    head = ("class", "boxes", "AP", "AP50", "95 % of resamples", "threshold", "95 % of resamples", "chosen by")
    rows = [
        (
            f"`{label}`", str(found.count), _number(found.ap), _number(found.ap50), _spread(intervals[label]),
            *_threshold(facts.model, label),
        )
        for label, found in evaluation.per_class.items()
    ]  # fmt: skip
    return (
        "## How good it is\n\n"
        f"Measured with `{facts.model.default}` on the {evaluation.pictures} pictures of the test part. AP is the mean "
        "over IoU .5 to .95, AP50 that at IoU .5. Boxes are shown from their class's threshold on, which was chosen on "
        f"the validation part.\n\n{_table(head, rows)}"
    )


def _threshold(model: ModelFacts, label: str) -> tuple[str, str, str]:
    chosen = model.chosen_thresholds.get(label)
    if chosen is None:
        return _number(model.thresholds.get(label, model.score_threshold)), "", "the general one"
    return _number(chosen.threshold), f"{chosen.low:.3f} to {chosen.high:.3f}", chosen.chosen_by


def _curves() -> str:
    return (
        f"![Precision over recall, a line a class]({CURVES_FILE})\n\n"
        f"![Precision, recall and F1 over the score threshold]({THRESHOLDS_FILE})\n\n"
        f"All numbers: [{METRICS_FILE}]({METRICS_FILE})."
    )


def _mistakes(false: Sequence[Mistake], missed: Sequence[Mistake]) -> str:
    parts = []
    if false:
        said = "False boxes that it is surest of (orange; true boxes are blue, right ones green):"
        parts.append(f"{said}\n\n{_row_of(false)}")
    if missed:
        parts.append(f"The largest objects that it does not show (yellow):\n\n{_row_of(missed)}")
    return "## Where it fails\n\n" + ("\n\n".join(parts) or "It makes no mistake on the test part.")


def _row_of(mistakes: Sequence[Mistake]) -> str:
    images = [f"![{_text(one.said)}]({one.file})" for one in mistakes]
    return _table([_text(one.heading) for one in mistakes], [images, [_text(one.said) for one in mistakes]])


def _limits(facts: CardFacts) -> str:
    evaluation = facts.evaluation
    sizes = evaluation.analysis.by_size or ()
    said = [
        "It was measured on pictures of the set that it was trained on; from other cameras, distances or light it may "
        "find less. It knows no class but those above.",
        *_few(evaluation),
        *_weak(sizes, evaluation.coco["mAP50"], "By the side of a box at the model's input"),
        *_weak(evaluation.analysis.by_crowding, evaluation.coco["mAP50"], "By how many objects a picture shows"),
    ]
    tables = [
        _slices("side at the input", [part for part in sizes if part.boxes]),
        _slices("on the picture", [part for part in evaluation.analysis.by_crowding if part.boxes]),
    ]
    return "\n\n".join(["## Limits", "\n".join(f"- {one}" for one in said), *(table for table in tables if table)])


def _few(evaluation: Evaluation) -> list[str]:
    few = [f"`{label}` ({found.count})" for label, found in evaluation.per_class.items() if found.count < FEWEST_BOXES]
    return [f"Measured on few boxes, so little is known of them: {', '.join(few)}."] if few else []


def _weak(parts: Sequence[SliceNumbers], whole: float | None, by: str) -> list[str]:
    weak = [
        f"{part.name} (AP50 {part.ap50:.2f})"
        for part in parts
        if part.ap50 is not None and whole and part.ap50 < _WEAK * whole
    ]
    return [f"{by}, it is weak at {', '.join(weak)}; over all AP50 is {whole:.2f}."] if weak else []


def _slices(name: str, parts: Sequence[SliceNumbers]) -> str:
    rows = [
        (part.name, str(part.boxes), str(part.pictures), _number(part.ap50), _number(part.recall50)) for part in parts
    ]
    return _table((name, "boxes", "pictures", "AP50", "recall at IoU .5"), rows) if rows else ""


def _data(facts: CardFacts) -> str:
    data = facts.data
    rows = [(part, str(data.parts[part].pictures), *map(str, data.parts[part].boxes.values())) for part in PARTS]
    return (
        f"## Data and licences\n\n"
        f"`{data.source}`, {_text(facts.source)}; sha256 `{facts.model.data_hash}`. Pictures that look alike are in "
        "one part.\n\n"
        f"{_table(('part', 'pictures', *(f'`{label}`' for label in data.classes)), rows)}\n\n"
        f"- licence of the data: {_text(facts.data_licence)}\n"
        f"- licence of these weights: {_text(facts.weights_licence)}\n"
        f"- the training started from: {_text(facts.started_from)}"
    )


def _files(facts: CardFacts) -> str:
    gate = facts.gate
    head = ("file", "MB", "mAP", "mAP50", "mAP, test", "boxes off", "scores off", "ms, 1 thread", "ms, 2 threads")
    rows = [("the checkpoint", "", _number(gate.checkpoint.mAP), _number(gate.checkpoint.mAP50), *[""] * 5)]
    rows += [_file(one, facts.model) for one in gate.files if one.passed]
    refused = [f"- `{one.file}` was refused and is not here: {_text('; '.join(one.reasons))}." for one in gate.refusals]
    meant = [f"- `{one.file}`: {_FILES[one.file]}" for one in gate.files if one.passed]
    return "\n\n".join(
        part
        for part in (
            "## Files",
            "\n".join([*meant, *refused]),
            f"Each was run by its own runtime on the {gate.pictures} pictures of the validation part, beside the "
            "checkpoint: how far its boxes (scored .05 or more, in pixels of the input) and scores lie off at most, "
            "and the milliseconds of a picture on the machine that made it. `gate.json` has the classes and the "
            "tolerances.",
            _table(head, rows),
            _input(facts.model.input),
        )
        if part
    )


def _file(one: FileResult, model: ModelFacts) -> tuple[str, ...]:
    assert one.measured is not None
    return (
        f"`{one.file}`",
        f"{one.bytes / 1e6:.2f}",
        _number(one.measured.mAP),
        _number(one.measured.mAP50),
        _number(model.metrics.get(one.file, {}).get("mAP")),
        "" if one.boxes_px is None else f"{one.boxes_px:.2g} px",
        "" if one.score is None else f"{one.score:.2g}",
        *("" if (took := one.milliseconds.get(threads)) is None else f"{took:.1f}" for threads in (1, 2)),
    )


def _input(spec: InputSpec) -> str:
    return (
        f"Pictures come in {_resized(spec)}, RGB. The raw-head files take (pixel - mean) / deviation with mean "
        f"{_triple(spec.mean_rgb)} and deviation {_triple(spec.std_rgb)} for pixels of 0 to 255, and give offsets from "
        "anchors and a probability a class, neither decoded nor suppressed; `manifest.json` tells the anchors."
    )


def _running(facts: CardFacts) -> str:
    passed = {one.file for one in facts.gate.files if one.passed}
    name = facts.name
    parts = ["## Run it", "    vigie predict . PICTURES --out found"]
    if SAVED_MODEL in passed:
        parts.append(
            "TensorFlow Serving takes the folder above this one as its model base path, and encoded pictures over "
            "REST:\n\n"
            f'    tensorflow_model_server --rest_api_port=8501 --model_name={name} --model_base_path="$(realpath ..)"\n'
            '    echo "{\\"signature_name\\": \\"serving_jpeg\\", \\"instances\\": '
            '[{\\"b64\\": \\"$(base64 -w0 PICTURE.jpg)\\"}]}" |\n'
            f"        curl localhost:8501/v1/models/{name}:predict -d @-"
        )
    if POSTPROCESS in passed:
        parts.append(
            "On phones, and with MediaPipe Tasks, which reads labels and normalisation from the file:\n\n"
            "    from mediapipe.tasks.python import BaseOptions, vision\n\n"
            f'    options = vision.ObjectDetectorOptions(BaseOptions("{POSTPROCESS}"), score_threshold=0.5)\n'
            "    detector = vision.ObjectDetector.create_from_options(options)"
        )
    parts.append(
        "With LiteRT alone, `Interpreter(file, num_threads=2).get_signature_runner()` gives the raw heads by their "
        "names.\n\n"
        "`manifest.json` has the sha256 of every file; Vigie refuses a file that was changed."
    )
    return "\n\n".join(parts)


def _resized(spec: InputSpec) -> str:
    size = f"{spec.width}x{spec.height} pixels"
    if spec.resize == "stretch":
        return f"stretched to {size}"
    return f"resized with their aspect ratio kept, in the middle of {size} of grey ({GREY})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _spread(found: Interval | None) -> str:
    return "" if found is None else f"{found.low:.3f} to {found.high:.3f}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _triple(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _text(words: str) -> str:
    """Nothing in it is Markdown's, or ends a table's cell."""
    for sign in "\\|*`<>[]":
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())
