from collections.abc import Iterator

import pytest
from faked_evaluations import cat, evaluated, found, sample

from vigie.data.parts import Sample
from vigie.errors import BadData
from vigie.training.evaluating.reporting.gallery import draw, false_gallery, missed_gallery
from vigie.training.evaluating.reporting.worst import missed_boxes

SAMPLES = [sample(0, cat(100, 100)), sample(1), sample(2, cat(10, 10, 30))]


def test_only_the_pictures_that_are_shown_are_read_and_no_more_than_needed() -> None:
    looked_at = []

    def again() -> Iterator[Sample]:
        for one in [*SAMPLES, sample(3), sample(4)]:
            looked_at.append(one.filename)
            yield one

    evaluation = evaluated([*SAMPLES, sample(3), sample(4)], [[] for _ in range(5)])
    shots = missed_boxes(evaluation)
    drawn = draw(shots, again())
    assert [shot.filename for shot in drawn] == ["0.jpg", "2.jpg"]
    assert looked_at == ["0.jpg", "1.jpg", "2.jpg"]
    assert draw([], again()) == {}


def test_other_pictures_than_those_evaluated_are_refused() -> None:
    shots = missed_boxes(evaluated(SAMPLES, [[], [], []]))
    with pytest.raises(BadData, match=r"^7\.jpg stands where 0\.jpg was evaluated"):
        draw(shots, [sample(7)])
    with pytest.raises(BadData, match="1 of the evaluated pictures are gone"):
        draw(shots, SAMPLES[:2])


def test_a_gallery_stands_alone_and_names_can_do_no_harm() -> None:
    labels = ("cat", "<script>alert(1)</script>")
    evaluation = evaluated(SAMPLES, [[found(labels[1], 0.9, 300, 20)], [], []], labels=labels)
    false = false_gallery(evaluation, iter(SAMPLES))
    assert false.startswith("<style>")
    assert false.count("<image ") == 1
    assert "Bkg: nothing is there" in false
    assert "<script>" not in false
    missed = missed_gallery(evaluation, iter(SAMPLES))
    assert missed.count("<image ") == 2
    assert missed.count("<rect class=missed ") == 2


def test_where_nothing_is_wrong_there_is_nothing_to_read() -> None:
    evaluation = evaluated([sample(0, cat(100, 100))], [[found("cat", 0.9, 100, 100)]])
    assert "There are no false boxes." in false_gallery(evaluation, iter([]))
    assert "No true box is missed." in missed_gallery(evaluation, iter([]))
