"""A report as one HTML file that needs nothing beside it; light and dark, on a screen and on paper."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Self

import cv2
import numpy as np

from vigie.domain import Box
from vigie.pictures import Pixels, encode_jpeg

PAGE_STYLE = """
:root{color-scheme:light dark;--ink:#222;--quiet:#5c6370;--paper:#fff;--soft:#f3f5f7;--line:#ccd1d8;
--bad:#b00020;--odd:#8a5a00}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e4e6ea;--quiet:#9aa3af;--paper:#16181c;--soft:#22262c;--line:#3b424c;
--bad:#ff6b7d;--odd:#e0a83c}
img.figure{filter:invert(.91) hue-rotate(180deg)}}
body{max-width:1320px;margin:2em auto;padding:0 1em;font:15px/1.45 system-ui,sans-serif;
color:var(--ink);background:var(--paper)}
@media print{body{margin:0;max-width:none;font-size:11px}h2,h3{break-after:avoid}figure,tr,img{break-inside:avoid}}
"""
_JPEG_QUALITY = 82
_LETTERS = 26  # as many lines of writing are as high as the picture


@dataclass(frozen=True, slots=True)
class Outline:
    """A rectangle over a picture, in its pixels. `kind` is a CSS class, `said` is shown where it is pointed at.

    `written` stands above it.
    """

    left: float
    top: float
    width: float
    height: float
    kind: str = ""
    said: str = ""
    written: str = ""

    @classmethod
    def of(cls, box: Box, kind: str = "", said: str = "") -> Self:
        return cls(box.left, box.top, box.width, box.height, kind, said)


def page(title: str, body: str) -> str:
    """`title` is text, `body` HTML, with the style of its own parts."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{PAGE_STYLE}</style><h1>{escape(title)}</h1>{body}</html>\n"
    )


def drawing(rgb: Pixels, outlines: Sequence[Outline], *, most_px: int, area: Box | None = None) -> str:
    """SVG of a picture, or of the `area` of it, at most `most_px` wide and high, with lines that scaling leaves sharp.

    `area` is in whole pixels, and inside the picture.
    """
    height, width = rgb.shape[:2]
    shown = area or Box(0, 0, width, height)
    part = rgb[int(shown.top) : int(shown.bottom), int(shown.left) : int(shown.right)]
    scale = min(1.0, most_px / max(shown.width, shown.height))
    size = max(1, round(shown.width * scale)), max(1, round(shown.height * scale))
    shrunk = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    encoded = encode_jpeg(shrunk, _JPEG_QUALITY)
    place = f'x="{shown.left:g}" y="{shown.top:g}" width="{shown.width:g}" height="{shown.height:g}"'
    marks = "".join(map(_rectangle, outlines)) + "".join(_writing(one, shown) for one in outlines if one.written)
    return (
        f'<svg viewBox="{shown.left:g} {shown.top:g} {shown.width:g} {shown.height:g}">'
        f'<image href="{data_uri(encoded, "image/jpeg")}" {place}/>{marks}</svg>'
    )


def data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _rectangle(outline: Outline) -> str:
    kind = f" class={escape(outline.kind)}" if outline.kind else ""
    place = f'x="{outline.left:g}" y="{outline.top:g}" width="{outline.width:g}" height="{outline.height:g}"'
    said = f"<title>{escape(outline.said)}</title></rect>" if outline.said else ""
    return f"<rect{kind} {place}>{said}" if said else f"<rect{kind} {place}/>"


def _writing(outline: Outline, shown: Box) -> str:
    """Inside the box where there is no room above it, and to the left where there is little to the right."""
    letters_px = max(shown.width, shown.height) / _LETTERS
    above = outline.top - 0.3 * letters_px
    baseline = above if above > shown.top + letters_px else outline.top + 1.1 * letters_px
    right = outline.left + outline.width
    leftwards = (outline.left + right) / 2 > (shown.left + shown.right) / 2
    x = min(right, shown.right) if leftwards else max(outline.left, shown.left)
    anchor = ' text-anchor="end"' if leftwards else ""
    return f'<text x="{x:g}" y="{baseline:g}" font-size="{letters_px:g}"{anchor}>{escape(outline.written)}</text>'
