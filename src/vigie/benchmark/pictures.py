"""What is looked at while it is measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from vigie.bundle import Bundle
from vigie.cartoons import MovingScene
from vigie.errors import BadData
from vigie.pictures import Picture, encode_jpeg

MOST = 24
_DRAWN = 12
_WIDTH, _HEIGHT = 640, 480
_SEED = 2026
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


@contextmanager
def pictures_for(bundle: Bundle | None, asked: Path | None) -> Iterator[list[Path]]:
    """A file or a folder that is asked for, else what the bundle brings to try it on, else drawn ones.

    Raises:
        BadData: there are none.
        BadPicture: one of them cannot be read.
    """
    trial = None if bundle is None else bundle.folder / bundle.manifest.trial_source
    if asked is not None:
        yield _read(asked)
    elif trial is not None and trial.is_dir():
        yield _read(trial)
    else:
        with TemporaryDirectory(prefix="vigie-benchmark-") as folder:
            yield list(_drawn(Path(folder)))


def size_of(pictures: list[Path]) -> str:
    """As a person says it: the size of all, or of the smallest and the largest."""
    sizes = sorted(
        {(one.width, one.height) for one in map(Picture.from_file, pictures)}, key=lambda one: one[0] * one[1]
    )
    first, last = (f"{width}x{height}" for width, height in (sizes[0], sizes[-1]))
    return first if first == last else f"{first} to {last}"


def _read(asked: Path) -> list[Path]:
    if asked.is_dir():
        found = sorted(one for one in asked.iterdir() if one.suffix.lower() in _SUFFIXES)[:MOST]
    else:
        found = [asked]
    if not found:
        raise BadData(f"{asked}: holds no pictures ({', '.join(sorted(_SUFFIXES))})")
    for one in found:
        Picture.from_file(one).rgb()
    return found


def _drawn(folder: Path) -> Iterator[Path]:
    scene = MovingScene(_SEED, _WIDTH, _HEIGHT)
    for number in range(_DRAWN):
        path = folder / f"{number:02}.jpg"
        path.write_bytes(encode_jpeg(scene.at(8 * number)[0]))
        yield path
