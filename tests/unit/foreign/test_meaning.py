"""Which output is what, whatever the order in which a file gives them."""

import itertools

import numpy as np
import pytest

from vigie.errors import BadBundle
from vigie.foreign.meaning import TRIALS, Decoded, Output, Raw, meaning_of, trial_pictures
from vigie.foreign.sidecar import OutputSection

RANDOM = np.random.default_rng(4)
BOXES = RANDOM.random((TRIALS, 10, 4), np.float32)
CLASSES = RANDOM.integers(0, 90, (TRIALS, 10)).astype(np.float32)
SCORES = -np.sort(-RANDOM.random((TRIALS, 10), np.float32))
COUNT = np.full(TRIALS, 10, np.float32)
VALUES = {"boxes": BOXES, "classes": CLASSES, "scores": SCORES, "count": COUNT}
SHAPES = {"boxes": (1, 10, 4), "classes": (1, 10), "scores": (1, 10), "count": (1,)}
NOTHING = OutputSection()


def outputs(*words: str) -> list[Output]:
    """Their names say nothing."""
    return [Output((f"StatefulPartitionedCall:{at}",), SHAPES[word]) for at, word in enumerate(words)]


@pytest.mark.parametrize("order", list(itertools.permutations(VALUES)), ids=" ".join)
def test_boxes_classes_scores_and_their_number_are_told_in_any_order(order: tuple[str, ...]) -> None:
    found = meaning_of(outputs(*order), [VALUES[word] for word in order], NOTHING, {}, "x.tflite")
    assert found == Decoded(*(order.index(word) for word in ("boxes", "classes", "scores", "count")))


def test_where_the_values_allow_both_the_names_decide() -> None:
    zeros = np.zeros((TRIALS, 10), np.float32)
    named = [Output(("a", "category"), (1, 10)), Output(("b", "score"), (1, 10)), Output(("c",), (1, 10, 4))]
    assert meaning_of(named, [zeros, zeros, BOXES], NOTHING, {}, "x") == Decoded(2, 0, 1, None)


def test_values_count_more_than_names() -> None:
    named = [Output(("scores",), (1, 10)), Output(("classes",), (1, 10)), Output(("c",), (1, 10, 4))]
    assert meaning_of(named, [CLASSES, SCORES, BOXES], NOTHING, {}, "x") == Decoded(2, 0, 1, None)


def test_what_cannot_be_told_is_asked_for_and_the_sidecar_answers() -> None:
    zeros = np.zeros((TRIALS, 10), np.float32)
    three = outputs("classes", "scores", "boxes")
    with pytest.raises(BadBundle, match=r"x\.tflite: which .* classes .* StatefulPartitionedCall:0 1x10, .* sidecar"):
        meaning_of(three, [zeros, zeros, BOXES], NOTHING, {}, "x.tflite")
    asked = OutputSection(scores="StatefulPartitionedCall:0")
    assert meaning_of(three, [zeros, zeros, BOXES], asked, {}, "x.tflite") == Decoded(2, 1, 0, None)


def test_what_the_file_knows_of_its_own_operation_is_taken_and_the_sidecar_counts_more() -> None:
    zeros = np.zeros((TRIALS, 10), np.float32)
    four = outputs("scores", "boxes", "count", "classes")
    known = {"boxes": 1, "classes": 3, "scores": 0, "count": 2}
    trials = [zeros, BOXES, COUNT, zeros]
    assert meaning_of(four, trials, NOTHING, known, "x") == Decoded(1, 3, 0, 2)
    asked = OutputSection(scores="StatefulPartitionedCall:3", classes="StatefulPartitionedCall:0")
    assert meaning_of(four, trials, asked, known, "x") == Decoded(1, 0, 3, 2)


def test_raw_heads_are_told_from_anchors_which_no_picture_changes() -> None:
    anchors = np.broadcast_to(BOXES[:1], BOXES.shape)
    scores = RANDOM.random((TRIALS, 10, 81), np.float32)
    three = [Output((name,), shape) for name, shape in (("a", (1, 10, 4)), ("b", (1, 10, 4)), ("c", (1, 10, 81)))]
    assert meaning_of(three, [anchors, BOXES, scores], NOTHING, {}, "x") == Raw(1, 2, 0)
    assert meaning_of(three, [BOXES, anchors, scores], NOTHING, {}, "x") == Raw(0, 2, 1)
    assert meaning_of(three[1:], [BOXES, scores], NOTHING, {}, "x") == Raw(0, 1, None)


def test_raw_scores_of_four_classes_need_a_name() -> None:
    two = [Output(("a",), (1, 10, 4)), Output(("b",), (1, 10, 4))]
    with pytest.raises(BadBundle, match="of no detector; it has a 1x10x4, b 1x10x4"):
        meaning_of(two, [BOXES, SCORES[..., None].repeat(4, 2)], NOTHING, {}, "x")
    asked = OutputSection(boxes="b", scores="a")
    assert meaning_of(two, [BOXES, BOXES], asked, {}, "x") == Raw(1, 0, None)


@pytest.mark.parametrize("shape", [(1, 1001), (1, 7, 7, 18), ()])
def test_a_model_that_is_no_detector_is_refused_with_what_it_gives(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadBundle, match="its outputs are those of no detector; it has probabilities"):
        meaning_of([Output(("probabilities",), shape)], [np.zeros((TRIALS, 5), np.float32)], NOTHING, {}, "x")


def test_a_sidecar_that_names_no_output_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadBundle, match=r"names the output boxen, and it has StatefulPartitionedCall:0 1x10x4"):
        meaning_of(outputs("boxes"), [BOXES], OutputSection(boxes="boxen"), {}, "x")


def test_trial_pictures_differ_and_are_the_same_each_time() -> None:
    shown = trial_pictures(50, 30)
    assert (shown.shape, shown.dtype) == ((TRIALS, 30, 50, 3), np.uint8)
    assert len({one.tobytes() for one in shown}) == TRIALS
    assert np.array_equal(shown, trial_pictures(50, 30))
