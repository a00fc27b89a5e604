"""Boxes turn as the pixels under them do."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vigie.data.orientation import orientation_of, upright
from vigie.domain import Box

WIDTH, HEIGHT = 40, 24


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
    return Box(left, top, draw(st.integers(left + 1, WIDTH)), draw(st.integers(top + 1, HEIGHT)))


@given(boxes(), st.integers(1, 8))
def test_a_box_lies_where_pillow_turns_its_pixels_to(box: Box, orientation: int) -> None:
    marked = np.zeros((HEIGHT, WIDTH), np.uint8)
    marked[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 255
    exif, stored = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(marked).save(stored, "PNG", exif=exif)
    turned = np.asarray(ImageOps.exif_transpose(Image.open(stored)))
    rows, columns = np.nonzero(turned)
    found = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert upright(box, orientation, WIDTH, HEIGHT) == found


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_is_read_from_the_header(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (4, 3)).save(tmp_path / "turned", kind, exif=exif)
    Image.new("RGB", (4, 3)).save(tmp_path / "plain", kind)
    assert (orientation_of(tmp_path / "turned"), orientation_of(tmp_path / "plain")) == (8, 1)
