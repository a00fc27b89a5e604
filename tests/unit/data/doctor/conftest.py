"""A good set, and one with every fault once."""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vigie.data.synthetic import write_set
from vigie.pictures import encode_jpeg

WIDTH, HEIGHT = 160, 120
GOOD = ("mask", 21, 21, 80, 80)
Marked = tuple[str, float, float, float, float]


def xml_of(filename: str, objects: Sequence[Marked] = (GOOD,), *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """A label file with the numbers exactly as given."""
    marked = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
        f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
        for label, xmin, ymin, xmax, ymax in objects
    )
    return (
        f"<annotation><filename>{filename}</filename>"
        f"<size><width>{width}</width><height>{height}</height></size>{marked}</annotation>"
    )


class SetMaker:
    """Writes pictures that all differ, and label files with what a test wants in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made = 0
        for name in ("images", "annotations"):
            (root / name).mkdir(parents=True)

    def picture(self, name: str, encoded: bytes | None = None) -> Path:
        self.made += 1
        path = self.root / "images" / f"{name}.jpg"
        path.write_bytes(jpeg(self.made) if encoded is None else encoded)
        return path

    def labels(self, name: str, text: str | bytes) -> Path:
        path = self.root / "annotations" / f"{name}.xml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def add(self, name: str, *objects: Marked, encoded: bytes | None = None) -> None:
        self.picture(name, encoded)
        self.labels(name, xml_of(f"{name}.jpg", objects))

    def add_lying(self, name: str, *objects: Marked) -> None:
        """The boxes are drawn on the picture as it is stored."""
        self.add(name, *objects, encoded=turned_jpeg(self.made))


def jpeg(number: int) -> bytes:
    """A picture of coarse noise: no two numbers look alike."""
    coarse = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
    return encode_jpeg(np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8))


def turned_jpeg(number: int) -> bytes:
    """Stored WIDTH x HEIGHT, to be turned by a quarter."""
    encoded = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(jpeg(number))).save(encoded, "JPEG", exif=exif)
    return encoded.getvalue()


def giant_png(side: int) -> bytes:
    """The header of a picture of side x side and no pixels: whoever decodes it, fails."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.fixture
def maker(tmp_path: Path) -> SetMaker:
    return SetMaker(tmp_path / "set")


@pytest.fixture(scope="session")
def clean_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty cartoons; read only."""
    return write_set(tmp_path_factory.mktemp("clean") / "set", pictures=60, seed=3, progress=False)


BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><annotation><filename>&y;</filename></annotation>'
EXTERNAL = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation><filename>&x;</filename></annotation>'


@pytest.fixture(scope="session")
def broken_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file a fault; the file's name is the code that is to be found in it."""
    maker = SetMaker(tmp_path_factory.mktemp("broken") / "set")
    for number in range(25):
        maker.add(f"good{number}", GOOD)
    _spoil_annotations(maker)
    _spoil_pictures(maker)
    _spoil_boxes(maker)
    _spoil_labels(maker)
    return maker.root


def _spoil_annotations(maker: SetMaker) -> None:
    (maker.root / "annotations" / "annotation-unreadable.xml").mkdir()
    spoilt: dict[str, str | bytes] = {
        "annotation-empty": "",
        "annotation-corrupt": xml_of("annotation-corrupt.jpg")[:120],
        "annotation-too-large": xml_of("annotation-too-large.jpg") + " " * (8 << 20),
        "annotation-entities": BOMB,
        "annotation-entities-external": EXTERNAL,
        "annotation-entities-hidden": BOMB.encode("utf-16"),
        "annotation-not-voc": "<html/>",
        "object-incomplete": xml_of("object-incomplete.jpg").replace("<xmin>21</xmin>", "<xmin>left</xmin>"),
        "size-missing": xml_of("size-missing.jpg").replace("size>", "sizes>"),
        "size-unreadable": xml_of("size-unreadable.jpg", width=0),
        "path-traversal": xml_of("../../secret.jpg"),
    }
    for name, text in spoilt.items():
        maker.picture(name)
        maker.labels(name, text)
    maker.picture("annotation-unreadable")
    maker.labels("picture-missing", xml_of("elsewhere.jpg"))
    for ending in (".jpg", ".jpeg"):
        (maker.root / "images" / f"picture-ambiguous{ending}").write_bytes(jpeg(1000 + len(ending)))
    maker.labels("picture-ambiguous", xml_of("picture-ambiguous.png"))
    maker.labels("picture-shared", xml_of("good0.jpg"))


def _spoil_pictures(maker: SetMaker) -> None:
    whole = jpeg(2000)
    spoilt = {"picture-empty": b"", "picture-corrupt": b"no picture", "picture-truncated": whole[: len(whole) // 2],
              "picture-too-large": giant_png(12_000)}  # fmt: skip
    for name, encoded in spoilt.items():
        maker.add(name, GOOD, encoded=encoded)
    maker.picture("picture-too-large-beyond", giant_png(30_000))
    maker.labels("picture-too-large", xml_of("picture-too-large.jpg", width=12_000, height=12_000))
    (maker.root / "images" / "picture-unreadable.jpg").mkdir()
    maker.labels("picture-unreadable", xml_of("picture-unreadable.jpg"))
    maker.picture("picture-unannotated")
    maker.picture("size-differs")
    maker.labels("size-differs", xml_of("size-differs.jpg", width=WIDTH * 2, height=HEIGHT * 2))
    maker.add("size-before-turning", GOOD, encoded=turned_jpeg(2001))


def _spoil_boxes(maker: SetMaker) -> None:
    maker.add("box-inverted", ("mask", 80, 21, 21, 80))
    maker.add("box-no-area", ("mask", 21, 21, 21, 80))
    maker.add("box-all-outside", ("mask", WIDTH + 5, 21, WIDTH + 40, 80))
    maker.add("box-outside", ("mask", -9, 21, 80, 80))
    maker.add("box-outside-by-one", ("mask", 21, 21, WIDTH + 1, 80))
    maker.add("box-covers-all", ("mask", 1, 1, WIDTH, HEIGHT))
    maker.add("box-duplicate", GOOD, GOOD)
    maker.add("box-two-classes", GOOD, ("bare", 21, 21, 80, 81))
    maker.add("picture-without-objects")
    maker.add("objects-too-many", *(("mask", 1 + column, 1, 30 + column, 40) for column in range(101)))


def _spoil_labels(maker: SetMaker) -> None:
    maker.add("label-look-alike", ("M\u0430sk", 21, 21, 80, 80))  # a Cyrillic a
    maker.add("label-space", ("mask ", 21, 21, 80, 80))
    maker.add("label-unknown", ("hat", 21, 21, 80, 80))
