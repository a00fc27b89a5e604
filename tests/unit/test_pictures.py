"""A picture knows its size before it is decoded, and refuses what is none."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from vigie import pictures
from vigie.errors import BadPicture
from vigie.pictures import Picture, encode_jpeg

UPRIGHT, TURNED_RIGHT = 1, 6
RED, BLUE = (255, 0, 0), (0, 0, 255)


def jpeg_of(image: Image.Image, orientation: int | None = None) -> bytes:
    out = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    image.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def red_above_blue(width: int = 40, height: int = 80) -> Image.Image:
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (0, height // 2, width, height))
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG of some 60 bytes that claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_pixels_are_red_green_blue() -> None:
    pixels = Picture.from_bytes(jpeg_of(red_above_blue())).rgb()
    assert pixels.shape == (80, 40, 3)
    np.testing.assert_allclose(pixels[5, 20], RED, atol=3)
    np.testing.assert_allclose(pixels[75, 20], BLUE, atol=3)


def test_a_picture_taken_on_its_side_is_seen_upright() -> None:
    stored = red_above_blue().transpose(Image.Transpose.ROTATE_90)  # what a camera held sideways stores
    picture = Picture.from_bytes(jpeg_of(stored, TURNED_RIGHT))
    assert (picture.width, picture.height) == (40, 80)
    pixels = picture.rgb()
    assert pixels.shape == (80, 40, 3)
    np.testing.assert_allclose(pixels[5, 20], RED, atol=3)
    np.testing.assert_allclose(pixels[75, 20], BLUE, atol=3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_formats_turn_as_a_jpeg_does(kind: str) -> None:
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = TURNED_RIGHT
    Image.new("RGB", (80, 40), RED).save(out, kind, exif=exif)
    picture = Picture.from_bytes(out.getvalue())
    assert (picture.width, picture.height) == (40, 80)
    assert picture.rgb().shape == (80, 40, 3)


def test_bytes_of_an_upright_jpeg_are_kept_and_others_are_encoded_upright() -> None:
    upright = jpeg_of(red_above_blue(), UPRIGHT)
    assert Picture.from_bytes(upright).jpeg() == upright
    turned = jpeg_of(red_above_blue().transpose(Image.Transpose.ROTATE_90), TURNED_RIGHT)
    again = Picture.from_bytes(Picture.from_bytes(turned).jpeg())
    assert (again.width, again.height, again.turned) == (40, 80, False)


def test_a_png_with_transparency_becomes_a_jpeg_of_the_same_size() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (30, 20), (0, 255, 0, 128)).save(out, "PNG")
    picture = Picture.from_bytes(out.getvalue())
    assert (picture.format, picture.rgb().shape) == ("png", (20, 30, 3))
    assert Picture.from_bytes(picture.jpeg()).format == "jpeg"


@pytest.fixture
def nothing_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object, **__: object) -> None:
        pytest.fail("the picture was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    monkeypatch.setattr(cv2, "imdecode", decode)


@pytest.mark.usefixtures("nothing_decodes")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8_000, 12_000, 30_000])
def test_a_giant_is_refused_by_its_header_before_anything_is_decoded(side: int) -> None:
    with pytest.raises(BadPicture, match=rf"{side}x{side} pixels, over the limit|Image size \({side * side} pixels\)"):
        Picture.from_bytes(png_header(side, side))


@pytest.mark.usefixtures("nothing_decodes")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_reading_the_size_decodes_nothing(kind: str) -> None:
    out = io.BytesIO()
    Image.new("L", (40, 30)).save(out, kind)
    picture = Picture.from_bytes(out.getvalue())
    assert (picture.width, picture.height, picture.format) == (40, 30, kind.lower())


def test_the_limit_of_pixels_is_the_callers() -> None:
    encoded = jpeg_of(red_above_blue(40, 80))
    assert Picture.from_bytes(encoded, max_pixels=3200).width == 40
    with pytest.raises(BadPicture, match="over the limit of 3199"):
        Picture.from_bytes(encoded, max_pixels=3199)


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "not a picture"),
        (b"\xff\xd8", "not a picture"),
        (jpeg_of(red_above_blue())[:30], "not a picture|header"),
    ],
)
def test_what_is_no_picture_is_refused(encoded: bytes, message: str) -> None:
    with pytest.raises(BadPicture, match=message):
        Picture.from_bytes(encoded)


def test_a_picture_whose_body_is_missing_is_refused_when_it_is_decoded() -> None:
    picture = Picture.from_bytes(png_header(64, 64))
    assert (picture.width, picture.height) == (64, 64)
    with pytest.raises(BadPicture, match="64x64 that cannot be decoded"):
        picture.rgb()


def test_a_file_names_itself_in_its_errors(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(BadPicture, match=r"broken\.jpg: not a picture"):
        Picture.from_file(tmp_path / "broken.jpg")
    with pytest.raises(BadPicture, match=r"absent\.jpg: cannot be read: No such file"):
        Picture.from_file(tmp_path / "absent.jpg")


def test_pixels_become_a_picture_and_come_back() -> None:
    pixels = np.asarray(red_above_blue(), np.uint8)
    picture = Picture.from_pixels(pixels)
    assert (picture.width, picture.height) == (40, 80)
    assert picture.rgb() is pixels
    np.testing.assert_allclose(Picture.from_bytes(encode_jpeg(pixels, 95)).rgb()[5, 20], RED, atol=4)


def smooth(width: int, height: int, **options: int) -> bytes:
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image = Image.fromarray(np.stack([across, down, 255 - across], axis=-1).astype(np.uint8))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "asked", "share"),
    [
        (640, 480, (320, 240), 2),
        (640, 480, (320, 320), 1),  # a half would be 240 high
        (640, 480, (321, 1), 1),
        (1920, 1080, (320, 320), 2),
        (1920, 1080, (480, 270), 4),
        (1283, 727, (160, 90), 8),  # rounded up by the decoder
        (1283, 727, (160, 91), 4),
        (7, 5, (1, 1), 4),
        (3, 2, (300, 300), 1),
    ],
)
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_may_be_reduced_is_decoded_as_small_as_it_may_and_never_below_what_is_asked_for(
    width: int, height: int, asked: tuple[int, int], share: int, progressive: bool
) -> None:
    picture = Picture.from_bytes(smooth(width, height, progressive=progressive), reduce_from=2)
    pixels = picture.rgb_for(*asked)
    assert pixels.shape == (-(-height // share), -(-width // share), 3)
    assert (picture.width, picture.height) == (width, height)
    whole = picture.rgb()
    assert whole.shape == (height, width, 3)
    if min(pixels.shape[:2]) > 20:
        expected = cv2.resize(whole, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(pixels.astype(int) - expected).mean() < 3  # colours and places are those of the whole
    assert picture.rgb_for(*asked) is whole  # what is there need not be decoded again


def test_only_jpegs_that_are_allowed_to_are_reduced() -> None:
    png = io.BytesIO()
    Image.open(io.BytesIO(smooth(640, 480))).save(png, "PNG")
    cmyk = jpeg_of(Image.new("CMYK", (640, 480), (0, 200, 200, 0)))  # type: ignore[arg-type]
    for encoded, reduce_from in ((smooth(640, 480), 0), (png.getvalue(), 2), (cmyk, 2)):
        assert Picture.from_bytes(encoded, reduce_from=reduce_from).rgb_for(8, 8).shape == (480, 640, 3)
    pixels = np.zeros((480, 640, 3), np.uint8)
    assert Picture.from_pixels(pixels).rgb_for(8, 8) is pixels


def test_a_picture_that_may_be_reduced_from_a_quarter_on_is_not_halved() -> None:
    for asked, height in ((320, 480), (160, 120), (80, 60)):
        assert len(Picture.from_bytes(smooth(640, 480), reduce_from=4).rgb_for(asked, asked // 2)) == height


def test_a_reduced_picture_taken_on_its_side_is_upright() -> None:
    stored = red_above_blue(400, 800).transpose(Image.Transpose.ROTATE_90)
    pixels = Picture.from_bytes(jpeg_of(stored, TURNED_RIGHT), reduce_from=2).rgb_for(100, 200)
    assert pixels.shape == (200, 100, 3)
    np.testing.assert_allclose(pixels[5, 20], RED, atol=3)
    np.testing.assert_allclose(pixels[195, 20], BLUE, atol=3)


def test_a_cut_jpeg_is_decoded_reduced_if_and_only_if_it_is_decoded_whole() -> None:
    encoded = smooth(640, 480)
    outcomes = set()
    for cut in range(700, len(encoded) + 1, 97):
        decoded = []
        for decode in (Picture.rgb, lambda picture: picture.rgb_for(100, 100)):
            picture = Picture.from_bytes(encoded[:cut], reduce_from=2)
            try:
                decode(picture)
                decoded.append(True)
            except BadPicture:
                decoded.append(False)
        assert decoded[0] == decoded[1], cut
        outcomes.add(decoded[0])
    assert False in outcomes


def test_the_seconds_of_decoding_add_up() -> None:
    picture = Picture.from_bytes(smooth(640, 480), reduce_from=2)
    assert picture.decode_s == 0
    picture.rgb_for(100, 100)
    first = picture.decode_s
    assert first > 0
    picture.rgb()
    whole = picture.decode_s
    assert whole > first
    picture.rgb()
    assert picture.decode_s == whole


def opened(encoded: bytes) -> tuple[int, int, str, bool, bool] | str:
    try:
        picture = Picture.from_bytes(encoded)
    except BadPicture as error:
        return str(error)
    return picture.width, picture.height, picture.format, picture.turned, picture.cmyk


@pytest.fixture(scope="module")
def by_pillow() -> Callable[[bytes], tuple[int, int, str, bool, bool] | str]:
    """`opened` without the quick way."""

    def read(encoded: bytes) -> tuple[int, int, str, bool, bool] | str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pictures, "_size_of_plain_jpeg", lambda _: None)
            return opened(encoded)

    return read


@given(at=st.integers(2, 400), value=st.integers(0, 255), cut=st.integers(0, 700))
@settings(max_examples=300, deadline=None)
@example(at=163, value=0, cut=0)
def test_a_plain_jpegs_header_is_read_as_pillow_reads_it_or_not_at_all(
    by_pillow: Callable[[bytes], tuple[int, int, str, bool, bool] | str], at: int, value: int, cut: int
) -> None:
    encoded = bytearray(smooth(90, 70))
    encoded[at] = value
    changed = bytes(encoded[: len(encoded) - cut] if cut < 400 else encoded[:cut])
    quick = pictures._size_of_plain_jpeg(changed)
    slow = by_pillow(changed)
    if quick is not None and not isinstance(slow, str):
        assert slow == (*quick, "jpeg", False, False)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}])
def test_what_cameras_send_is_read_the_quick_way(
    by_pillow: Callable[[bytes], tuple[int, int, str, bool, bool] | str], options: dict[str, int]
) -> None:
    encoded = smooth(90, 70, **options)
    assert pictures._size_of_plain_jpeg(encoded) == (90, 70)
    assert opened(encoded) == by_pillow(encoded) == (90, 70, "jpeg", False, False)
    grey = io.BytesIO()
    Image.new("L", (90, 70)).save(grey, "JPEG")
    assert pictures._size_of_plain_jpeg(grey.getvalue()) == (90, 70)
    assert pictures._size_of_plain_jpeg(jpeg_of(red_above_blue(), TURNED_RIGHT)) is None
    assert pictures._size_of_plain_jpeg(jpeg_of(Image.new("CMYK", (9, 9)))) is None
    assert pictures._size_of_plain_jpeg(encoded[:100]) is None


def test_a_giant_jpeg_is_refused_by_its_header() -> None:
    encoded = smooth(90, 70).replace(b"\x08" + struct.pack(">HH", 70, 90), b"\x08" + struct.pack(">HH", 12_000, 12_000))
    with pytest.raises(BadPicture, match="12000x12000 pixels, over the limit"):
        Picture.from_bytes(encoded)


def test_pixels_that_are_taken_may_be_written_to_and_the_next_who_asks_gets_others() -> None:
    pixels = np.zeros((30, 40, 3), np.uint8)
    for picture in (Picture.from_bytes(encode_jpeg(pixels)), Picture.from_pixels(pixels)):
        taken = picture.taken_rgb()
        taken[:] = 255
        assert picture.rgb().max() < 10
