"""A report as one HTML file that needs nothing beside it: each code with a few of its pictures, boxes drawn."""

import base64
from html import escape
from itertools import groupby
from pathlib import Path

import cv2

from vigie.data.doctor.findings import WHOLE_SET, Finding, Report, counted
from vigie.data.doctor.reading import DataSet, Pair
from vigie.errors import BadPicture
from vigie.pictures import Picture, encode_jpeg
from vigie.whole import write_whole

_SHOWN = 6
_SIDE_PX = 420
_PAGE_STYLE = "body{max-width:1320px;margin:2em auto;padding:0 1em}"
_STYLE = """
.doctor{font:15px/1.45 system-ui,sans-serif;color:#222;background:#fff}
.doctor h2{margin:2em 0 .2em;border-top:1px solid #ccc;padding-top:.8em;font-size:1.3em}
.doctor .error{color:#b00020}.doctor .warning{color:#8a5a00}
.doctor .places{display:flex;flex-wrap:wrap;gap:1em}.doctor figure{margin:0;max-width:420px}
.doctor svg{width:100%;background:#eee}.doctor figcaption{font-size:13px;overflow-wrap:anywhere}
.doctor rect{fill:none;stroke:#5ad;vector-effect:non-scaling-stroke;stroke-width:1.5}
.doctor rect.named{stroke:#e00;stroke-width:3}
"""


def write_page(report: Report, data: DataSet, root: Path, out: Path) -> None:
    """Write the report of the set at `root` to `out`, whole or not at all."""
    title = escape(f"What the doctor found in {root.resolve().name}")
    write_whole(
        out,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_PAGE_STYLE}</style>'
        f"<h1>{title}</h1>{as_html(report, data, root)}</html>\n",
    )


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
    width, height = pair.size
    scale = min(1.0, _SIDE_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shrunk = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    encoded = base64.b64encode(encode_jpeg(shrunk)).decode("ascii")
    named = None if found is None else found.object
    boxes = "".join(
        f'<rect{" class=named" if marked.number == named else ""} x="{min(at.xmin, at.xmax) - at.first:g}" '
        f'y="{min(at.ymin, at.ymax) - at.first:g}" width="{abs(at.xmax - at.xmin) + at.first:g}" '
        f'height="{abs(at.ymax - at.ymin) + at.first:g}"/>'
        for marked in pair.labels.objects
        for at in (marked.corners,)
    )
    picture = f'<image href="data:image/jpeg;base64,{encoded}" width="{width}" height="{height}"/>'
    return f'<svg viewBox="0 0 {width} {height}">{picture}{boxes}</svg>'
