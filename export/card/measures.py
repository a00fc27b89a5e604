"""The parts of a model card that tell how good the model is, and where it is not."""

from collections.abc import Sequence

from vigie.bundle import ModelFacts
from vigie.export.card.facts import CardFacts
from vigie.export.card.markdown import number, table, text
from vigie.export.card.pictures import CURVES_FILE, METRICS_FILE, THRESHOLDS_FILE, Mistake
from vigie.export.gate.tolerances import FEWEST_BOXES
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.bootstrap import Interval
from vigie.training.evaluating.metrics.slices import SliceNumbers

_WEAK = 0.5  # a slice with less than this share of the whole's AP50 is called weak


def classes_section(facts: CardFacts) -> str:
    evaluation = facts.evaluation
    intervals = dict(zip(evaluation.per_class, evaluation.analysis.intervals.ap50, strict=True))
    rows = [
        (f"`{label}`", str(found.count), number(found.ap), number(found.ap50), _spread(intervals[label]))
        for label, found in evaluation.per_class.items()
    ]
    return (
        "## How good it is\n\n"
        f"Measured with `{facts.model.default}` on the {evaluation.pictures} pictures of the test part. AP is the mean "
        "over IoU .5 to .95, AP50 that at IoU .5, with what 95 % of the resampled sets of pictures give.\n\n"
        f"{table(('class', 'boxes', 'AP', 'AP50', '95 %'), rows)}"
    )


def thresholds_section(facts: CardFacts) -> str:
    head = ("class", "threshold", "95 %", "chosen by", "boxes", "precision", "recall")
    return (
        "Boxes are shown from their class's threshold on. It was chosen with the same file on the validation part, "
        f"where it gives this:\n\n{table(head, [_threshold(facts.model, label) for label in facts.model.labels])}"
    )


def _threshold(model: ModelFacts, label: str) -> tuple[str, ...]:
    chosen = model.chosen_thresholds.get(label)
    if chosen is None:
        general = number(model.thresholds.get(label, model.score_threshold))
        return f"`{label}`", general, "", "the general one", "", "", ""
    return (
        f"`{label}`", number(chosen.threshold), f"{chosen.low:.3f} to {chosen.high:.3f}", chosen.chosen_by,
        str(chosen.boxes), number(chosen.precision), number(chosen.recall),
    )  # fmt: skip


def curves_section() -> str:
    return (
        f"![Precision over recall, a line a class]({CURVES_FILE})\n\n"
        f"![Precision, recall and F1 over the score threshold]({THRESHOLDS_FILE})\n\n"
        f"All numbers: [{METRICS_FILE}]({METRICS_FILE})."
    )


def mistakes_section(false: Sequence[Mistake], missed: Sequence[Mistake]) -> str:
    parts = []
    if false:
        said = "False boxes that it is surest of (orange; true boxes are blue, right ones green):"
        parts.append(f"{said}\n\n{_row_of(false)}")
    if missed:
        parts.append(f"The largest objects that it does not show (yellow):\n\n{_row_of(missed)}")
    return "## Where it fails\n\n" + ("\n\n".join(parts) or "It makes no mistake on the test part.")


def _row_of(mistakes: Sequence[Mistake]) -> str:
    images = [f"![{text(one.said)}]({one.file})" for one in mistakes]
    return table([text(one.heading) for one in mistakes], [images, [text(one.said) for one in mistakes]])


def limits_section(facts: CardFacts) -> str:
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
        (part.name, str(part.boxes), str(part.pictures), number(part.ap50), number(part.recall50)) for part in parts
    ]
    return table((name, "boxes", "pictures", "AP50", "recall at IoU .5"), rows) if rows else ""


def _spread(found: Interval | None) -> str:
    return "" if found is None else f"{found.low:.3f} to {found.high:.3f}"
