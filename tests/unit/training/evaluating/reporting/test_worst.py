from faked_evaluations import cat, evaluated, found, sample

from vigie.domain import Box
from vigie.training.evaluating.compare import compare
from vigie.training.evaluating.metrics.verdicts import Kind
from vigie.training.evaluating.reporting.worst import differing_pictures, false_boxes, missed_boxes, random_pictures


def test_false_boxes_come_by_kind_and_the_surest_first() -> None:
    evaluation = evaluated(
        [sample(0, cat(100, 100)), sample(1, cat(100, 100))],
        [
            [found("cat", 0.9, 100, 100), found("cat", 0.6, 102, 100), found("cat", 0.3, 300, 200)],
            [found("dog", 0.8, 100, 100), found("cat", 0.7, 125, 100), found("dog", 0.5, 10, 10)],
        ],
    )
    chosen = false_boxes(evaluation)
    assert {kind: [(shot.filename, shot.heading, shot.said) for shot in shots] for kind, shots in chosen.items()} == {
        Kind.CLS: [("1.jpg", "Cls 80%", "dog, but is cat")],
        Kind.LOC: [("1.jpg", "Loc 70%", "cat, overlaps by IoU 0.33")],
        Kind.DUPE: [("0.jpg", "Dupe 60%", "cat, once more")],
        Kind.BKG: [
            ("1.jpg", "Bkg 50%", "dog, but nothing is marked"),
            ("0.jpg", "Bkg 30%", "cat, but nothing is marked"),
        ],
    }
    (dupe,) = chosen[Kind.DUPE]
    assert [outline.kind for outline in dupe.outlines] == ["true", "right", "false"]


def test_a_crowded_picture_gives_two_of_a_kind_at_most() -> None:
    crowd = [found("cat", 0.9 - place / 100, 10 + 40 * place, 200, 20) for place in range(8)]
    evaluation = evaluated([sample(0), sample(1, cat(0, 0))], [crowd, [found("cat", 0.1, 300, 10)]])
    assert [shot.heading for shot in false_boxes(evaluation)[Kind.BKG]] == ["Bkg 90%", "Bkg 89%", "Bkg 10%"]
    assert len(false_boxes(evaluation, per_kind=1)[Kind.BKG]) == 1


def test_missed_boxes_are_the_largest_first_and_tell_why() -> None:
    evaluation = evaluated(
        [sample(0, cat(10, 10, 20), cat(100, 100, 60)), sample(1, cat(100, 100, 90)), sample(2, cat(0, 0, 200))],
        [
            [found("cat", 0.9, 10, 10, 20), found("dog", 0.7, 100, 100, 60)],
            [found("cat", 0.05, 100, 100, 90), found("dog", 0.04, 300, 100, 50)]
            + [found("cat", 0.5 - place / 100, 300, 10 + 30 * place, 20) for place in range(9)],
            [],
        ],
    )
    # The best threshold of cat is .9: what is found with 5 % costs nine false boxes.
    assert [(shot.filename, shot.heading, shot.said) for shot in missed_boxes(evaluation)] == [
        ("2.jpg", "cat", "not found at any score"),
        ("1.jpg", "cat", "found with 5%, shown from 90% on"),
        ("0.jpg", "cat", "taken for dog with 70%"),
    ]


def test_what_is_shown_around_a_box_lies_inside_the_picture() -> None:
    evaluation = evaluated([sample(0, cat(0, 250, 40), cat(200, 100, 30))], [[]])
    corner, middle = missed_boxes(evaluation)
    assert corner.area == Box(0, 200, 100, 300)
    assert middle.area == Box(177, 77, 252, 152)
    assert [outline.kind for outline in corner.outlines] == ["missed", "true"]


def test_a_box_as_large_as_the_picture_shows_all_of_it() -> None:
    evaluation = evaluated([sample(0, cat(10, 10, 280))], [[]])
    assert [shot.area for shot in missed_boxes(evaluation)] == [Box(0, 0, 400, 300)]


def test_pictures_that_differ_are_shown_of_both_models_the_worst_for_ours_first() -> None:
    samples = [sample(number, cat(100, 100)) for number in range(3)]
    right, wrong = [found("cat", 0.9, 100, 100)], [found("cat", 0.8, 300, 10)]
    ours, other = evaluated(samples, [right, right, wrong]), evaluated(samples, [right, wrong, right])
    pairs = differing_pictures(ours, compare(ours, other))
    assert [(mine.filename, mine.said, theirs.said) for mine, theirs in pairs] == [
        ("2.jpg", "0 of 1 true boxes found, 1 false", "1 of 1 true boxes found, 0 false"),
        ("1.jpg", "1 of 1 true boxes found, 0 false", "0 of 1 true boxes found, 1 false"),
    ]


def test_pictures_drawn_by_lot_are_whole_and_say_what_was_found() -> None:
    samples = [sample(number, cat(100, 100)) for number in range(9)]
    evaluation = evaluated(samples, [[found("cat", 0.9, 100, 100), found("dog", 0.4, 300, 10)] for _ in samples])
    chosen = random_pictures(evaluation, count=4)
    assert chosen == random_pictures(evaluation, count=4)
    assert len({shot.filename for shot in chosen}) == 4
    for shot in chosen:
        assert (shot.area, shot.said) == (None, "1 of 1 true boxes found, 0 false")
        assert [outline.written for outline in shot.outlines] == ["", "cat 90%"]
    assert len(random_pictures(evaluation, count=99)) == 9


def test_in_a_crowd_only_the_false_boxes_are_named() -> None:
    crowd = [cat(50 * place, 100, 40) for place in range(7)]
    right = [found("cat", 0.9, 50 * place, 100, 40) for place in range(7)]
    evaluation = evaluated([sample(0, *crowd)], [[*right, found("dog", 0.8, 10, 10)]])
    (shot,) = random_pictures(evaluation)
    assert [outline.written for outline in shot.outlines if outline.written] == ["dog 80%"]
