"""The page needs nothing beside it, whatever was evaluated."""

import re

from faked_evaluations import cat, evaluated, found, sample

from vigie.training import plots
from vigie.training.evaluating.compare import compare
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.reporting.page import figure_html, report_page

SAMPLES = [sample(number, cat(100, 100)) for number in range(4)]
RIGHT, WRONG = [found("cat", 0.9, 100, 100)], [found("cat", 0.8, 300, 10)]


def assert_stands_alone(page: str) -> None:
    assert page.startswith("<!doctype html>")
    links = re.findall(r"""(?:src|href|url\()\s*=?\s*["']?([^"'>\s)]+)""", page)
    assert links
    assert [link[:40] for link in links if not link.startswith("data:")] == []
    assert not re.findall(r"<(?:script|link|iframe|object)", page)


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_a_page_has_figures_tables_and_galleries_in_it() -> None:
    evaluation = evaluated(SAMPLES, [RIGHT, WRONG, RIGHT, []])
    page = report_page(evaluation, samples=iter(SAMPLES), compared=None, about={"model": "runs/<b>"})
    assert_stands_alone(page)
    assert headings(page) == [
        "Label by label",
        "Which score to show boxes from",
        "What is taken for what",
        "Which errors cost most",
        "Where it is weak",
        "Whether a score can be believed",
        "The worst false boxes",
        "The largest missed boxes",
        "Pictures drawn by lot",
        "COCO's twelve numbers",
    ]
    assert page.count("<img class=figure") == 7
    assert page.count("<image ") == 1 + 2 + 4
    assert "model runs/&lt;b&gt;" in page


def test_the_same_evaluation_makes_the_same_figures() -> None:
    evaluation = evaluated(SAMPLES, [RIGHT, WRONG, RIGHT, []])
    first, second = (figure_html(plots.error_kinds(evaluation), "kinds of errors") for _ in range(2))
    assert first == second
    assert 'alt="kinds of errors"' in first


def test_a_comparison_comes_first_with_its_pictures_in_pairs() -> None:
    ours, other = evaluated(SAMPLES, [RIGHT, RIGHT, RIGHT, WRONG]), evaluated(SAMPLES, [RIGHT, WRONG, RIGHT, RIGHT])
    page = report_page(ours, samples=SAMPLES, compared=compare(ours, other), about={})
    assert_stands_alone(page)
    assert headings(page)[0] == "Against the other model"
    assert "no more than noise" in page
    assert page.count("<div class=pair>") == 2


def test_without_samples_there_are_no_galleries() -> None:
    page = report_page(evaluated(SAMPLES, [RIGHT, WRONG, RIGHT, []]), samples=None, compared=None, about={})
    assert "<image " not in page
    assert "The worst false boxes" not in headings(page)


def test_a_page_is_made_of_nothing_too() -> None:
    nothing: list[Evaluation] = [
        evaluated([sample(0)], [[]], labels=("cat",)),
        evaluated(SAMPLES, [[] for _ in SAMPLES]),
    ]
    for evaluation in nothing:
        page = report_page(
            evaluation,
            samples=[sample(0, cat(100, 100)), *SAMPLES[1:]],
            compared=compare(evaluation, evaluation),
            about={},
        )
        assert_stands_alone(page)
