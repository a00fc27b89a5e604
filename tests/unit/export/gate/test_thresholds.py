"""Thresholds are chosen on evidence, and say how sure they are."""

from collections.abc import Sequence

import numpy as np
import pytest
from faked_evaluations import LABELS, cat, evaluated, found, sample

from vigie.domain import Detection
from vigie.export.gate.thresholds import choose_thresholds, thresholds_of
from vigie.training.evaluating.evaluation import Evaluation


def pictures_of(*entries: Sequence[tuple[float, bool]]) -> Evaluation:
    """Each picture has one cat; its finds have these scores, and are on the cat or beside it."""
    samples = [sample(number, cat(10, 10)) for number in range(len(entries))]
    return evaluated(samples, [[_find(*one) for one in finds] for finds in entries])


def _find(score: float, right: bool) -> Detection:
    return found("cat", score, 10 if right else 200, 10)


def test_the_best_f1_is_chosen_and_its_threshold_lies_between_what_passes_and_what_does_not() -> None:
    evaluation = pictures_of([(0.9, True)], [(0.8, True)], [(0.4, False)], [(0.3, True), (0.2, False)])
    facts = choose_thresholds(evaluation)["cat"]
    # .9, .8: 2 right of 2 shown and 4 true, F1 .667; from .3: 3 right of 4 shown, F1 .75; from .2: .667
    assert facts.threshold == pytest.approx(0.25)
    assert (facts.precision, facts.recall, facts.boxes, facts.chosen_by) == (0.75, 0.75, 4, "best F1")
    assert evaluation.analysis.thresholds["cat"].at(facts.threshold).f1 == pytest.approx(0.75)  # type: ignore[union-attr]


def test_a_precision_that_is_asked_for_gives_the_lowest_threshold_that_reaches_it() -> None:
    evaluation = pictures_of([(0.9, True)], [(0.8, False)], [(0.7, True)], [(0.6, True)], [(0.5, False)])
    facts = choose_thresholds(evaluation, precision=0.75)["cat"]
    # 1, 1/2, 2/3, 3/4, 3/5
    assert facts.threshold == pytest.approx(0.55)
    assert (facts.precision, facts.recall, facts.chosen_by) == (0.75, 0.6, "precision 0.75")


def test_a_precision_out_of_reach_is_said_and_the_general_threshold_stays() -> None:
    evaluation = pictures_of([(0.9, False)], [(0.8, True)], [(0.7, True)])
    facts = choose_thresholds(evaluation, precision=0.9, general=0.5)["cat"]
    assert facts.threshold == 0.5
    assert facts.chosen_by == "precision 0.90 is not reached by any threshold"
    assert facts.precision == pytest.approx(2 / 3)


def test_where_the_general_threshold_shows_nothing_there_is_no_precision() -> None:
    evaluation = pictures_of([(0.3, False)], [(0.2, True)])
    facts = choose_thresholds(evaluation, precision=0.9, general=0.5)["cat"]
    assert (facts.threshold, facts.precision, facts.recall) == (0.5, None, 0.0)


def test_a_label_without_boxes_or_without_a_right_find_keeps_the_general_threshold() -> None:
    nothing_right = pictures_of([(0.9, False)], [(0.3, False)])
    assert choose_thresholds(nothing_right) == {}
    assert "dog" in LABELS
    assert "dog" not in choose_thresholds(pictures_of([(0.9, True)]))


def test_the_interval_is_where_the_choice_lies_on_other_pictures_of_the_kind() -> None:
    sure = pictures_of(*[[(0.9, True), (0.1, False)]] * 40)
    facts = choose_thresholds(sure)["cat"]
    assert facts.low == facts.threshold == facts.high == pytest.approx(0.5)
    rng = np.random.default_rng(1)
    mixed = pictures_of(*[[(float(score), bool(rng.random() < score))] for score in rng.random(60)])
    facts = choose_thresholds(mixed)["cat"]
    assert 0 < facts.low < facts.threshold < facts.high < 1
    again = choose_thresholds(mixed)["cat"]
    assert again == facts


def test_the_interval_is_that_of_choosing_anew_on_each_resample() -> None:
    rng = np.random.default_rng(2)
    entries = [[(round(float(score), 2), bool(rng.random() < score)) for score in rng.random(3)] for _ in range(12)]
    facts = choose_thresholds(pictures_of(*entries), resamples=200)["cat"]
    drawn = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=200)
    chosen = []
    for counts in drawn:
        repeated = [entry for entry, times in zip(entries, counts, strict=True) for _ in range(times)]
        # Thresholds of the whole set, so that only the choice is drawn anew.
        best = _best_of(repeated, sorted({score for entry in entries for score, _ in entry}, reverse=True))
        chosen.append(best)
    low, high = np.quantile(chosen, [0.025, 0.975])
    assert (facts.low, facts.high) == (pytest.approx(low), pytest.approx(high))


def _best_of(entries: list[list[tuple[float, bool]]], scores: list[float]) -> float:
    """Halfway to the next score of the one with the highest F1; of each picture one right find counts."""
    best, threshold = 0.0, 1.0
    for score, below in zip(scores, [*scores[1:], 0.01], strict=True):
        shown = sum(one >= score for entry in entries for one, _ in entry)
        right = sum(any(is_right and one >= score for one, is_right in entry) for entry in entries)
        f1 = 2 * right / (shown + len(entries))
        if f1 > best + 1e-12:
            best, threshold = f1, (score + below) / 2
    return threshold


def test_what_the_manifest_holds_are_the_thresholds_alone() -> None:
    chosen = choose_thresholds(pictures_of([(0.9, True)]))
    assert thresholds_of(chosen) == {"cat": pytest.approx(0.455)}
