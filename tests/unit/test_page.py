import base64
import re

import cv2
import numpy as np

from vigie.domain import Box
from vigie.page import Outline, drawing, page

RGB = np.zeros((60, 80, 3), np.uint8)
RGB[20:40, 40:60] = (255, 0, 0)


def jpeg_of(svg: str) -> np.ndarray:
    (encoded,) = re.findall(r'href="data:image/jpeg;base64,([^"]+)"', svg)
    return cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR_RGB)


def test_a_drawing_holds_the_picture_and_its_outlines_in_the_pictures_pixels() -> None:
    svg = drawing(RGB, [Outline(1, 2, 30, 20), Outline.of(Box(40, 20, 60, 40), "false", 'a "dog" & <b>')], most_px=40)
    assert '<svg viewBox="0 0 80 60">' in svg
    assert '<rect x="1" y="2" width="30" height="20"/>' in svg
    named = (
        '<rect class=false x="40" y="20" width="20" height="20"><title>a &quot;dog&quot; &amp; &lt;b&gt;</title></rect>'
    )
    assert named in svg
    assert jpeg_of(svg).shape == (30, 40, 3)


def test_a_drawing_of_a_part_keeps_the_coordinates_and_is_not_enlarged() -> None:
    svg = drawing(RGB, [], most_px=400, area=Box(40, 20, 60, 40))
    assert '<svg viewBox="40 20 20 20"><image' in svg
    assert 'x="40" y="20" width="20" height="20"' in svg
    part = jpeg_of(svg)
    assert part.shape == (20, 20, 3)
    assert part[10, 10, 0] > 200


def test_what_is_written_stays_on_the_picture() -> None:
    outlines = [
        Outline(5, 30, 9, 9, written="cat & dog"),
        Outline(-3, 1, 9, 9, written="no room above"),
        Outline(70, 30, 20, 9, written="little to the right"),
    ]
    svg = drawing(RGB, outlines, most_px=80)
    assert re.findall(r'<text x="([\d.]+)" y="([\d.]+)" font-size="[\d.]+"(.*?)>([^<]+)</text>', svg) == [
        ("5", "29.0769", "", "cat &amp; dog"),
        ("0", "4.38462", "", "no room above"),
        ("80", "29.0769", ' text-anchor="end"', "little to the right"),
    ]


def test_a_page_is_one_file_with_its_title_as_text() -> None:
    made = page("<Faces> & more", "<p>found</p>")
    assert made.startswith("<!doctype html>")
    assert "<title>&lt;Faces&gt; &amp; more</title>" in made
    assert "<h1>&lt;Faces&gt; &amp; more</h1><p>found</p>" in made
    assert "prefers-color-scheme:dark" in made
    assert "@media print" in made
