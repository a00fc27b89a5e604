"""What a file must show before it is published."""

from dataclasses import asdict, dataclass

from vigie.export.gate.differences import Differences
from vigie.export.gate.results import ClassResult, Measured, Spread
from vigie.export.gate.tolerances import FEWEST_BOXES, Tolerance
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.bootstrap import Bootstrap, paired_difference

_NAMED_CLASSES = 5


@dataclass(frozen=True, slots=True)
class Ran:
    """What a file did on the validation part."""

    evaluation: Evaluation
    differences: Differences | None = None
    in_graph: Evaluation | None = None


def judge(checkpoint: Evaluation, ran: Ran, tolerance: Tolerance) -> tuple[Measured, tuple[str, ...]]:
    """A file's numbers, and the reasons to refuse it: none when it does what the checkpoint does."""
    paired = None
    if tolerance.class_AP50 is not None:
        paired = paired_difference(checkpoint.matches, ran.evaluation.matches, checkpoint.pictures)
    measured = measure(ran.evaluation, checkpoint, paired)
    reasons = [
        *_too_far(ran.differences, tolerance),
        *_lost_map(checkpoint, ran.evaluation, tolerance, "mAP"),
        *([] if ran.in_graph is None else _lost_map(checkpoint, ran.in_graph, tolerance, "mAP of its own detections")),
        *_lost_classes(measured, tolerance),
    ]
    return measured, tuple(reasons)


def measure(evaluation: Evaluation, checkpoint: Evaluation | None = None, paired: Bootstrap | None = None) -> Measured:
    """The numbers that are kept; `paired` is the checkpoint's evaluation minus the file's."""
    lost = {} if paired is None else dict(zip(evaluation.per_class, paired.ap50, strict=True))
    per_class = {}
    for label, found in evaluation.per_class.items():
        before = None if checkpoint is None else checkpoint.per_class[label].ap
        interval = lost.get(label)
        per_class[label] = ClassResult(
            boxes=found.count,
            AP=found.ap,
            AP50=found.ap50,
            lost=None if before is None or found.ap is None else before - found.ap,
            lost_AP50=None if interval is None else Spread(**asdict(interval)),
        )
    return Measured(mAP=evaluation.coco["mAP"], mAP50=evaluation.coco["mAP50"], per_class=per_class)


def _too_far(found: Differences | None, tolerance: Tolerance) -> list[str]:
    if found is None:
        return []
    reasons = []
    if tolerance.boxes_px is not None and not found.boxes_px <= tolerance.boxes_px:
        reasons.append(
            f"a box lies {found.boxes_px:.4g} px off the checkpoint's at the input's size, "
            f"{tolerance.boxes_px:g} px are allowed"
        )
    if tolerance.score is not None and not found.score <= tolerance.score:
        reasons.append(f"a score is {found.score:.4g} off the checkpoint's, {tolerance.score:g} is allowed")
    return reasons


def _lost_map(checkpoint: Evaluation, found: Evaluation, tolerance: Tolerance, name: str) -> list[str]:
    before, after = checkpoint.coco["mAP"], found.coco["mAP"]
    if before is None or after is None:
        return []  # without a true box there is nothing to lose
    lost = before - after
    if lost > tolerance.mAP:
        return [
            f"{name} is {after:.4f}, {lost:.4f} under the checkpoint's {before:.4f}, {tolerance.mAP:g} is allowed; "
            f"AP lost: {_by_class(checkpoint, found)}"
        ]
    if tolerance.either_way and -lost > tolerance.mAP:
        return [
            f"{name} is {after:.4f}, {-lost:.4f} over the checkpoint's {before:.4f}: it is another model, "
            f"{tolerance.mAP:g} is allowed"
        ]
    return []


def _by_class(checkpoint: Evaluation, found: Evaluation) -> str:
    """The classes that lost, the one that lost most first."""
    lost = {
        label: one.ap - found.per_class[label].ap  # type: ignore[operator]
        for label, one in checkpoint.per_class.items()
        if one.ap is not None
    }
    worst = sorted((label for label in lost if lost[label] > 0), key=lambda label: -lost[label])
    said = [f"{label} {lost[label]:.4f}" for label in worst[:_NAMED_CLASSES]]
    more = len(worst) - len(said)
    return ", ".join(said) + (f" and {more} classes more" if more else "")


def _lost_classes(measured: Measured, tolerance: Tolerance) -> list[str]:
    if tolerance.class_AP50 is None:
        return []
    return [
        f"{label} loses {one.lost_AP50.value:.4f} AP50 on {one.boxes} boxes, 95 %: {one.lost_AP50.low:.4f} to "
        f"{one.lost_AP50.high:.4f}, which lies wholly beyond {tolerance.class_AP50:g}"
        for label, one in measured.per_class.items()
        if one.lost_AP50 is not None and one.boxes >= FEWEST_BOXES and one.lost_AP50.low > tolerance.class_AP50
    ]
