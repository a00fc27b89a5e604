"""A report as one HTML file that needs nothing beside it: each code with a few of its pictures, boxes drawn."""

from html import escape
from itertools import groupby
from pathlib import Path

from vigie.data.doctor.findings import WHOLE_SET, Finding, Report, counted
from vigie.data.doctor.label_files import MarkedObject
from vigie.data.doctor.reading import DataSet, Pair
from vigie.errors import BadPicture
from vigie.page import Outline, drawing, page
from vigie.pictures import Picture
from vigie.whole import write_whole

_SHOWN = 6
_SIDE_PX = 420
_STYLE = """
.doctor{font:15px/1.45 system-ui,sans-serif;color:var(--ink,#222);background:var(--paper,#fff)}
.doctor h2{margin:2em 0 .2em;border-top:1px solid var(--line,#ccc);padding-top:.8em;font-size:1.3em}
.doctor .error{color:var(--bad,#b00020)}.doctor .warning{color:var(--odd,#8a5a00)}
.doctor .places{display:flex;flex-wrap:wrap;gap:1em}.doctor figure{margin:0;max-width:420px}
.doctor svg{width:100%;background:var(--soft,#eee)}.doctor figcaption{font-size:13px;overflow-wrap:anywhere}
.doctor rect{fill:none;stroke:#5ad;vector-effect:non-scaling-stroke;stroke-width:1.5}
.doctor rect.named{stroke:#e00;stroke-width:3}
"""


def write_page(report: Report, data: DataSet, root: Path, out: Path) -> None:
    """Write the report of the set at `root` to `out`, whole or not at all."""
    title = f"What the doctor found in {root.resolve().name}"
    write_whole(out, page(title, as_html(report, data, root)))


def as_html(report: Report, data: DataSet, root: Path, *, shown: int = _SHOWN) -> str:
    """The report to stand in a page or a notebook: each code with its first `shown` places and their pictures."""
    pairs = {pair.labels.name: pair for pair in data.pairs}
    pairs |= {pair.picture.name: pair for pair in data.pairs if pair.picture is not None}
    sections = [
        _section(code, list(group), pairs, root, shown)
        for code, group in groupby(report.findings, key=lambda found: found.code)
    ]
    head = f"{report.pictures} pictures, {report.objects} objects: {report.errors} errors, {report.warnings} warnings"
    return f'<div class="doctor"><style>{_STYLE}</style><p>{head}</p>{"".join(sections)}</div>'


def _section(code: str, found: list[Finding], pairs: dict[str, Pair], root: Path, shown: int) -> str:
    first = found[0]
    figures = "".join(_figure(one, pairs, root) for one in found[:shown])
    more = f"<p>and {len(found) - shown} more</p>" if len(found) > shown else ""
    return (
        f'<h2><span class="{first.severity}">{first.severity}</span> {code}: {len(found)}</h2>'
        f"<p>Effect: {escape(first.effect)}.<br>Repair: {escape(first.repair)}.</p>"
        f'<div class="places">{figures}</div>{more}'
    )


def _figure(found: Finding, pairs: dict[str, Pair], root: Path) -> str:
    """Where two files are at odds or alike, both are drawn."""
    place = "the set" if found.file == WHOLE_SET else found.file
    number = "" if found.object is None else f" {counted(found.file)} {found.object}"
    both = [pairs[name] for name in (found.file, found.other) if name in pairs]
    drawn = "".join(_drawing(found if place == 0 else None, pair, root) for place, pair in enumerate(both))
    return f"<figure>{drawn}<figcaption><b>{escape(place)}{number}</b>: {escape(found.found)}</figcaption></figure>"


def _drawing(found: Finding | None, pair: Pair, root: Path) -> str:
    """The picture with its boxes as they stand in the label file, that of `found` red; empty if it is not whole."""
    if pair.picture is None or pair.picture.fingerprint is None or pair.size is None:
        return ""
    try:
        rgb = Picture.from_file(root / pair.picture.name).rgb()
    except BadPicture:
        return ""  # the finding says in words what is wrong with the picture
    named = None if found is None else found.object
    return drawing(
        rgb, [_outline(marked, named=marked.number == named) for marked in pair.labels.objects], most_px=_SIDE_PX
    )


def _outline(marked: MarkedObject, *, named: bool) -> Outline:
    at = marked.corners
    left, top = min(at.xmin, at.xmax) - at.first, min(at.ymin, at.ymax) - at.first
    width, height = abs(at.xmax - at.xmin) + at.first, abs(at.ymax - at.ymin) + at.first
    return Outline(left, top, width, height, "named" if named else "")
