"""Which of two detectors is better on the same pictures, by how much, where, and whether it is more than noise."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vigie.errors import BadData
from vigie.training.evaluating.evaluation import EvaluatedPicture, Evaluation
from vigie.training.evaluating.metrics.analysis import intervals_json, rounded
from vigie.training.evaluating.metrics.bootstrap import Bootstrap, paired_difference
from vigie.training.evaluating.metrics.confusion import CONFUSION_SCORE
from vigie.training.evaluating.metrics.verdicts import Kind


@dataclass(frozen=True, slots=True)
class PictureDifference:
    """Ours minus the other's, counting detections from CONFUSION_SCORE on, at IoU .5."""

    filename: str
    found: int
    false: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`difference` is ours minus the other's. `pictures` are those that differ, the worst for us first.

    `other` is what it was compared with.
    """

    labels: tuple[str, ...]
    difference: Bootstrap
    pictures: tuple[PictureDifference, ...]
    other: Evaluation

    @property
    def more_than_noise(self) -> bool:
        """The 95 % interval of the difference in mAP leaves out 0."""
        return self.difference.mean_ap is not None and self.difference.mean_ap.excludes_zero

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = rounded(
            {
                "difference": intervals_json(self.difference, self.labels),
                "more_than_noise": self.more_than_noise,
                "pictures": [asdict(picture) for picture in self.pictures],
            }
        )
        return values


def compare(ours: Evaluation, other: Evaluation) -> Comparison:
    """Raises:
    BadData: the two were not evaluated on the same pictures and for the same labels.
    """
    labels = tuple(ours.per_class)
    refuse_other_labels(labels, tuple(other.per_class))
    for mine, theirs in zip(ours.per_picture, other.per_picture, strict=False):
        if (mine.filename, mine.result.truth) != (theirs.filename, theirs.result.truth):
            raise BadData(
                f"{mine.filename} stands where the other has {theirs.filename}, or its true boxes differ; "
                f"evaluate both on one set"
            )
    if ours.pictures != other.pictures:
        raise BadData(
            f"compared are the same pictures, got {ours.pictures} and {other.pictures}; evaluate both on one set"
        )
    differences = [_difference(*pair) for pair in zip(ours.per_picture, other.per_picture, strict=True)]
    return Comparison(
        labels,
        paired_difference(ours.matches, other.matches, ours.pictures),
        tuple(sorted((one for one in differences if one.found or one.false), key=lambda one: one.found - one.false)),
        other,
    )


def refuse_other_labels(ours: Sequence[str], other: Sequence[str]) -> None:
    """Ask before the hours of an evaluation are spent.

    Raises:
        BadData: the labels differ, or their order.
    """
    if tuple(ours) != tuple(other):
        raise BadData(f"compared are models with the same labels, got {', '.join(ours)} and {', '.join(other)}")


def _difference(ours: EvaluatedPicture, other: EvaluatedPicture) -> PictureDifference:
    (found, false), (other_found, other_false) = _counts(ours), _counts(other)
    return PictureDifference(ours.filename, found - other_found, false - other_false)


def _counts(picture: EvaluatedPicture) -> tuple[int, int]:
    shown = [one for one in picture.judged.verdicts if picture.result.found[one.place].score >= CONFUSION_SCORE]
    found = sum(one.kind is Kind.RIGHT for one in shown)
    return found, len(shown) - found
