"""The report of an evaluation as one HTML file, to be sent to a colleague."""

import io
import itertools
from collections.abc import Iterable, Mapping
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure

from vigie.data.parts import Sample
from vigie.page import data_uri, page
from vigie.training import plots
from vigie.training.evaluating.compare import Comparison
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.reporting.gallery import (
    GALLERY_STYLE,
    draw,
    false_html,
    missed_html,
    pairs_html,
    random_html,
)
from vigie.training.evaluating.reporting.tables import (
    as_html,
    class_table,
    coco_table,
    confusion_table,
    difference_table,
)
from vigie.training.evaluating.reporting.words import headline, judged, remarks
from vigie.training.evaluating.reporting.worst import (
    Shot,
    differing_pictures,
    false_boxes,
    missed_boxes,
    random_pictures,
)

_STYLE = (
    GALLERY_STYLE
    + """
h1{font-size:1.7em;margin-bottom:.2em}h2{margin:1.8em 0 .3em;border-top:1px solid var(--line);padding-top:.7em}
h3{margin:1em 0 .1em;font-size:1em}
.about,.gallery small{color:var(--quiet);opacity:1}p{max-width:75em}.scroll{overflow-x:auto}
table.numbers{border-collapse:collapse;font-variant-numeric:tabular-nums}
.numbers th,.numbers td{padding:.15em .7em;text-align:right;border-bottom:1px solid var(--line)}
.numbers thead th{vertical-align:bottom;font-weight:600;max-width:7em}
.numbers tbody th{text-align:left;font-weight:400;overflow-wrap:anywhere;max-width:22em}
.numbers thead th:first-child{text-align:left}.numbers tbody tr:nth-child(even){background:var(--soft)}
img.figure{display:block;height:auto;background:#fff;border-radius:4px;margin:.5em 0}
.beside{display:flex;flex-wrap:wrap;gap:1em 2em;align-items:flex-start}.beside>*{min-width:0}
@media print{img.figure,.numbers{max-width:100%}.scroll{overflow:visible}.gallery{grid-template-columns:repeat(5,1fr)}}
"""
)
_WIDE_PX = 1300
_DPI = 96  # of CSS


def report_page(
    evaluation: Evaluation,
    *,
    samples: Iterable[Sample] | None,
    compared: Comparison | None,
    about: Mapping[str, str],
) -> str:
    """The whole page. Without samples, those of the evaluation read again, there are no galleries.

    Raises:
        BadData: the samples are not those of the evaluation.
    """
    false, missed, some = false_boxes(evaluation), missed_boxes(evaluation), random_pictures(evaluation)
    pairs = [] if compared is None else differing_pictures(evaluation, compared)
    shots = [*itertools.chain(*false.values()), *missed, *some, *itertools.chain(*pairs)]
    drawn = None if samples is None else draw(shots, samples)
    parts = [
        f"<style>{_STYLE}</style>",
        answer(evaluation, about),
        "" if compared is None else _comparison(compared, pairs, drawn),
        _labels(evaluation),
        _curves(evaluation),
        _mistakes(evaluation),
        _weak_spots(evaluation),
    ]
    if drawn is not None:
        parts += [
            _FALSE,
            false_html(false, drawn),
            _MISSED,
            missed_html(missed, drawn),
            _RANDOM,
            random_html(some, drawn),
        ]
    return page("How good the detector is", "".join([*parts, _coco(evaluation)]))


_FALSE = (
    "<h2>The worst false boxes</h2><p>By kind, the surest first. Where nothing is marked although something is there, "
    "the mistake is in the annotation.</p>"
)
_MISSED = (
    "<h2>The largest missed boxes</h2><p>True boxes that no right box shows from the best threshold of their label on, "
    "the largest in their picture first.</p>"
)


_RANDOM = "<h2>Pictures drawn by lot</h2>"


def answer(evaluation: Evaluation, about: Mapping[str, str]) -> str:
    """HTML of the answer in one line, what stands out, and what was measured."""
    facts = " · ".join(f"{escape(name)} {escape(value)}" for name, value in about.items())
    parts = [
        f"<p style=font-size:1.3em;line-height:1.35>{escape(headline(evaluation))}</p>",
        f"<p>{escape(' '.join(remarks(evaluation)))}</p>",
        f"<p class=about>{facts}</p>" if facts else "",
    ]
    return "".join(parts)


def figure_html(figure: Figure, said: str) -> str:
    """An `<img>` that stays sharp; one too wide for a page is scrolled. `said` stands where it cannot be seen."""
    written = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "vigie"}):  # the same figure, the same bytes
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    width = round(figure.get_size_inches()[0] * _DPI)
    style = f"width:{width}px" if width > _WIDE_PX else f"width:{width}px;max-width:100%"
    image = (
        f'<img class=figure style="{style}" alt="{escape(said)}" src="{data_uri(written.getvalue(), "image/svg+xml")}">'
    )
    return f"<div class=scroll>{image}</div>"


def _comparison(compared: Comparison, pairs: list[tuple[Shot, Shot]], drawn: dict[Shot, str] | None) -> str:
    differing = len(compared.pictures)
    body = f"<h2>Against the other model</h2><p><b>{escape(judged(compared))}</b></p>"
    body += figure_html(plots.comparison(compared), "differences with their intervals")
    if differing:
        table = as_html(difference_table(compared))
        body += (
            f"<h3>On which pictures</h3><p>They differ on {differing} of {compared.other.pictures}. How many more true "
            f"boxes this model finds, and how many more false ones it shows; the worst for it come first.</p>{table}"
        )
    return body + ("" if drawn is None else pairs_html(pairs, drawn))


def _labels(evaluation: Evaluation) -> str:
    return (
        "<h2>Label by label</h2><p>Average precision over IoU .5 to .95 (AP) and at .5, with what 95 % of the "
        "resampled sets of pictures give; recall with 100 boxes a picture (AR); the score with the highest F1, and "
        f"what it gives.</p><div class=scroll>{as_html(class_table(evaluation))}</div>"
        + figure_html(plots.intervals(evaluation), "AP50 of each label with its interval")
    )


def _curves(evaluation: Evaluation) -> str:
    return (
        "<h2>Which score to show boxes from</h2>"
        + figure_html(plots.precision_recall(evaluation), "precision over recall")
        + figure_html(plots.f1_curves(evaluation), "precision, recall and F1 over the score threshold")
    )


def _mistakes(evaluation: Evaluation) -> str:
    mixed = confusion_table(evaluation)
    table = f"<div><h3>Labels taken for others</h3>{as_html(mixed)}</div>" if len(mixed) else ""
    return (
        "<h2>What is taken for what</h2><p>In a row, what became of the boxes that are there; the last row are false "
        "boxes, the last column missed ones.</p><div class=beside>"
        + figure_html(plots.confusion(evaluation), "confusion matrix")
        + f"{table}</div><h2>Which errors cost most</h2>"
        + figure_html(plots.error_kinds(evaluation), "mAP50 to gain by kind of error")
    )


def _weak_spots(evaluation: Evaluation) -> str:
    return (
        "<h2>Where it is weak</h2>"
        + figure_html(plots.by_slice(evaluation), "AP50 and recall by size and crowding")
        + "<h2>Whether a score can be believed</h2><p>A box with a score of .8 should be right eight times of ten.</p>"
        + figure_html(plots.calibration(evaluation), "precision in bins of the score")
    )


def _coco(evaluation: Evaluation) -> str:
    return f"<h2>COCO's twelve numbers</h2>{as_html(coco_table(evaluation))}"
