"""A training set of cartoon people, in the layout of the real one."""

import json
from pathlib import Path

from vigie import voc
from vigie.cartoons import random_scene
from vigie.data.atomic import whole_folder
from vigie.data.parallel import in_order
from vigie.errors import BadSetting
from vigie.pictures import encode_jpeg
from vigie.progress import progress as progress_bar

MARKER = "synthetic.json"
_MOST_FACES = 5
_SEED_STRIDE = 1_000_003  # sets of neighbouring seeds share no picture below a million pictures


def write_set(
    out: Path, *, pictures: int, seed: int, width: int = 320, height: int = 240, progress: bool = True
) -> Path:
    """Draw a set of VOC label files and JPEGs into `out`, whole or not at all; the same seed gives the same bytes.

    An older synthetic set at `out` is replaced.

    Raises:
        BadSetting: a number that cannot be drawn.
        BadData: `out` holds something else.
    """
    if pictures < 1 or seed < 0 or min(width, height) < 64:
        raise BadSetting(
            f"a synthetic set needs at least one picture of 64x64 and a seed from 0; "
            f"asked for {pictures} of {width}x{height} with seed {seed}"
        )
    with whole_folder(out, marker=MARKER) as folder:
        (folder / "images").mkdir()
        (folder / "annotations").mkdir()

        def draw(number: int) -> None:
            _write_picture(folder, number, seed * _SEED_STRIDE + number, width, height)

        done = in_order(draw, range(pictures))
        for _ in progress_bar(done, total=pictures, description="Drawing pictures", unit="picture", show=progress):
            pass
        facts = {"pictures": pictures, "seed": seed, "width": width, "height": height}
        (folder / MARKER).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return out


def _write_picture(folder: Path, number: int, seed: int, width: int, height: int) -> None:
    rgb, objects = random_scene(seed, width, height, _MOST_FACES)
    name = f"cartoon_{number:05d}"
    (folder / "images" / f"{name}.jpg").write_bytes(encode_jpeg(rgb))
    voc.write_annotation(folder / "annotations" / f"{name}.xml", f"{name}.jpg", width, height, objects)
