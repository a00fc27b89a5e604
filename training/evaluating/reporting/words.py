"""An evaluation and a comparison in sentences."""

from vigie.training.evaluating.compare import Comparison
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.bootstrap import Interval
from vigie.training.evaluating.metrics.confusion import CONFUSION_SCORE
from vigie.training.figures.bars import KIND_NAMES

_FEW_PICTURES = 30
"""With fewer, the percentiles of a bootstrap are narrower than they should be."""


def headline(evaluation: Evaluation) -> str:
    """The answer in one line: how good, how sure, measured on what."""
    boxes = sum(found.count for found in evaluation.per_class.values())
    labels = sum(found.count > 0 for found in evaluation.per_class.values())
    intervals = evaluation.analysis.intervals
    pictures = _counted(evaluation.pictures, "picture")
    mean_ap, mean_ap50 = evaluation.coco["mAP"], evaluation.coco["mAP50"]
    if mean_ap is None or mean_ap50 is None:
        return f"No true box is marked on the {pictures}: there is nothing to find, so nothing can be measured."
    return (
        f"mAP {_with_interval(mean_ap, intervals.mean_ap)}, mAP50 {_with_interval(mean_ap50, intervals.mean_ap50)} "
        f"on {pictures} with {_counted(boxes, 'true box')} of {_counted(labels, 'label')}."
    )


def remarks(evaluation: Evaluation) -> list[str]:
    """What stands out, a sentence each."""
    known = {label: found.ap50 for label, found in evaluation.per_class.items() if found.ap50 is not None}
    if not known:
        return []
    return [
        *_working_point(evaluation),
        *_weakest(known),
        *_costliest(evaluation),
        *(
            [f"Only {evaluation.pictures} pictures: the intervals are narrower than they should be."]
            if evaluation.pictures < _FEW_PICTURES
            else []
        ),
    ]


def judged(compared: Comparison) -> str:
    """Whether the difference is more than noise."""
    found = compared.difference.mean_ap
    if found is None:
        return "No true box is marked, so the two cannot be compared."
    if not compared.pictures and found.low == found.value == found.high == 0:
        return "The two do the same on every picture."
    between = f"{found.low:+.3f} to {found.high:+.3f}"
    if found.excludes_zero:
        better = "better" if found.value > 0 else "worse"
        return (
            f"This model is {better} than the other by {abs(found.value):.3f} mAP, which is more than noise: "
            f"95 % of the resampled sets of pictures say {between}."
        )
    return (
        f"The difference of {found.value:+.3f} mAP is no more than noise: 95 % of the resampled sets of pictures say "
        f"{between}, on both sides of 0. More pictures would tell."
    )


def _with_interval(value: float, found: Interval | None) -> str:
    return f"{value:.3f}" if found is None else f"{value:.3f} (95 %: {found.low:.3f} to {found.high:.3f})"


def _counted(number: int, name: str) -> str:
    plural = name.replace("box", "boxe")
    return f"{number} {name}" if number == 1 else f"{number} {plural}s"


def _working_point(evaluation: Evaluation) -> list[str]:
    counts = evaluation.analysis.confusion.counts
    right = int(counts.diagonal().sum())
    truths, shown = int(counts[:-1].sum()), int(counts[:, :-1].sum())
    return [
        f"Showing boxes from a score of {CONFUSION_SCORE:g} on, it finds {right} of {truths} true boxes under their "
        f"right label and shows {shown - right} false ones."
    ]


def _weakest(ap50: dict[str, float]) -> list[str]:
    if len(ap50) == 1:
        return []
    label = min(ap50, key=lambda one: ap50[one])
    return [f"The weakest label is {label}, AP50 {ap50[label]:.3f}."]


def _costliest(evaluation: Evaluation) -> list[str]:
    found = evaluation.analysis.tide
    if found is None or not any(gain > 0 for gain in found.d_ap.values()):
        return []
    kind = max(found.d_ap, key=lambda one: found.d_ap[one])
    return [f"What costs most is {kind.value} ({KIND_NAMES[kind]}): mended, mAP50 would gain {found.d_ap[kind]:.3f}."]
