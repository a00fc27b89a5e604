"""Pictures read once more and drawn: only those that are shown, one at a time."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape

from vigie.data.parts import Sample
from vigie.errors import BadData
from vigie.page import drawing
from vigie.training.evaluating.evaluation import Evaluation
from vigie.training.evaluating.metrics.verdicts import Kind
from vigie.training.evaluating.reporting.worst import Shot, false_boxes, missed_boxes, random_pictures
from vigie.training.figures.bars import KIND_NAMES

_CROP_PX, _WHOLE_PX = 260, 420
GALLERY_STYLE = """
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:.9em;margin:.6em 0 1.4em}
.gallery.pairs{grid-template-columns:repeat(auto-fill,minmax(460px,1fr));gap:1em 2em}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:.4em;break-inside:avoid}
.gallery figure{margin:0;break-inside:avoid}.gallery svg{display:block;width:100%;aspect-ratio:1;background:#7772}
.gallery.whole{grid-template-columns:repeat(auto-fill,minmax(270px,1fr))}
.gallery.pairs svg,.gallery.whole svg{aspect-ratio:4/3}
.gallery text{fill:#fff;stroke:#000c;stroke-width:.2em;paint-order:stroke;font-family:system-ui,sans-serif}
.gallery figcaption{font-size:12.5px;line-height:1.35;overflow-wrap:anywhere;margin-top:.3em}
.gallery small{display:block;opacity:.7}
.gallery rect{fill:none;vector-effect:non-scaling-stroke;stroke-width:2;stroke:#f4511e}
.gallery rect.true,.key .true{stroke:#56b4e9;stroke-dasharray:5 3}.gallery rect.right{stroke:#00c48c}
.gallery rect.missed{stroke:#ffe14d;stroke-width:3;stroke-dasharray:6 3}
.key span{white-space:nowrap;margin-right:1.2em}.key i{display:inline-block;width:1.6em;height:.75em;margin-right:.35em;
border:2.5px solid #f4511e;vertical-align:-.05em}.key i.true{border:2.5px dashed #56b4e9}
.key i.right{border-color:#00c48c}.key i.missed{border:3px dashed #e0b800}
"""
_MISSED_KEY = "<span><i class=missed></i>true, and missed</span>"
_KEY = "<span><i class=true></i>true</span><span><i class=right></i>found rightly</span><span><i></i>false</span>"


def false_gallery(evaluation: Evaluation, samples: Iterable[Sample]) -> str:
    """HTML of the false boxes with the highest scores; `samples` are those of the evaluation, read again."""
    chosen = false_boxes(evaluation)
    drawn = draw([shot for shots in chosen.values() for shot in shots], samples)
    return _alone(false_html(chosen, drawn))


def missed_gallery(evaluation: Evaluation, samples: Iterable[Sample]) -> str:
    """HTML of the largest missed boxes; `samples` are those of the evaluation, read again."""
    chosen = missed_boxes(evaluation)
    return _alone(missed_html(chosen, draw(chosen, samples)))


def random_gallery(evaluation: Evaluation, samples: Iterable[Sample], count: int = 8) -> str:
    """HTML of pictures drawn by lot; `samples` are those of the evaluation, read again."""
    chosen = random_pictures(evaluation, count)
    return _alone(random_html(chosen, draw(chosen, samples)))


def draw(shots: Sequence[Shot], samples: Iterable[Sample]) -> dict[Shot, str]:
    """Each as SVG. `samples` come in the order of the evaluation; no more of them are read than needed, none is kept.

    Raises:
        BadData: the samples are not those of the evaluation.
    """
    wanted: dict[int, list[Shot]] = defaultdict(list)
    for shot in shots:
        wanted[shot.picture].append(shot)
    drawn: dict[Shot, str] = {}
    if not wanted:
        return drawn
    for place, sample in enumerate(samples):
        for shot in wanted.pop(place, ()):
            if sample.filename != shot.filename:
                raise BadData(
                    f"{sample.filename} stands where {shot.filename} was evaluated; "
                    f"the pictures changed meanwhile, evaluate again"
                )
            most_px = _WHOLE_PX if shot.area is None else _CROP_PX
            drawn[shot] = drawing(sample.picture.rgb(), shot.outlines, most_px=most_px, area=shot.area)
        if not wanted:
            return drawn
    raise BadData(f"{len(wanted)} of the evaluated pictures are gone; evaluate again")


def false_html(chosen: dict[Kind, list[Shot]], drawn: dict[Shot, str]) -> str:
    if not chosen:
        return "<p>There are no false boxes.</p>"
    parts = (
        f"<h3>{kind.value}: {escape(KIND_NAMES[kind])}</h3>{gallery_html(shots, drawn)}"
        for kind, shots in chosen.items()
    )
    return f"<p class=key>{_KEY}</p>{''.join(parts)}"


def missed_html(chosen: list[Shot], drawn: dict[Shot, str]) -> str:
    if not chosen:
        return "<p>No true box is missed.</p>"
    return f"<p class=key>{_MISSED_KEY}{_KEY}</p>{gallery_html(chosen, drawn)}"


def pairs_html(pairs: list[tuple[Shot, Shot]], drawn: dict[Shot, str]) -> str:
    if not pairs:
        return ""
    both = "".join(f"<div class=pair>{''.join(_figure(shot, drawn) for shot in pair)}</div>" for pair in pairs)
    return f'<p class=key>{_KEY}</p><div class="gallery pairs">{both}</div>'


def random_html(chosen: list[Shot], drawn: dict[Shot, str]) -> str:
    figures = "".join(_figure(shot, drawn) for shot in chosen)
    return f'<p class=key>{_KEY}</p><div class="gallery whole">{figures}</div>'


def gallery_html(shots: Sequence[Shot], drawn: dict[Shot, str]) -> str:
    return f"<div class=gallery>{''.join(_figure(shot, drawn) for shot in shots)}</div>"


def _figure(shot: Shot, drawn: dict[Shot, str]) -> str:
    return (
        f"<figure>{drawn[shot]}<figcaption><b>{escape(shot.heading)}</b> {escape(shot.said)}"
        f"<small>{escape(shot.filename)}</small></figcaption></figure>"
    )


def _alone(body: str) -> str:
    return f"<style>{GALLERY_STYLE}</style>{body}"
