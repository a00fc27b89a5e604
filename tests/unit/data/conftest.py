"""Small real data sets to prepare."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from vigie import voc
from vigie.cartoons import random_scene
from vigie.data.synthetic import write_set
from vigie.domain import LabelledBox
from vigie.pictures import encode_jpeg

MakePicture = Callable[..., tuple[Path, tuple[LabelledBox, ...]]]


@pytest.fixture(scope="session")
def cartoon_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures; read only."""
    return write_set(tmp_path_factory.mktemp("voc") / "set", pictures=30, seed=1, width=160, height=120, progress=False)


@pytest.fixture
def small_set(tmp_path: Path) -> Path:
    """Twelve pictures, to be spoilt."""
    return write_set(tmp_path / "voc", pictures=12, seed=2, width=128, height=96, progress=False)


@pytest.fixture
def add_picture() -> MakePicture:
    """Adds one annotated picture of any format to a set."""

    def add(
        root: Path, name: str, objects: tuple[LabelledBox, ...] | None = None
    ) -> tuple[Path, tuple[LabelledBox, ...]]:
        rgb, truth = random_scene(len(name), 128, 96, 2)
        kept = truth if objects is None else objects
        path = root / "images" / name
        if name.endswith(".jpg"):
            path.write_bytes(encode_jpeg(rgb))
        else:
            done, encoded = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
            assert done
            path.write_bytes(encoded.tobytes())
        voc.write_annotation(root / "annotations" / f"{path.stem}.xml", name, 128, 96, kept)
        return path, kept

    return add
