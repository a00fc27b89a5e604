"""A pytest plugin: a model bundle small enough for every test that only needs a model to be there.

It is made once by `make_tiny_bundle.py`, in a process of its own, and kept in pytest's cache: the tests that
use it need no TensorFlow.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from vigie.bundle import newest_bundle
from vigie.errors import BadBundle

_HERE = Path(__file__).parent
_MAKER = _HERE / "make_tiny_bundle.py"
_MADE_FROM = (
    _MAKER,
    *(_HERE.parent / path for path in ("src/vigie/bundle.py", "src/vigie/decoding.py")),
    *(
        _HERE.parent / "export" / f"{name}.py"
        for name in (
            "publishing",
            "files/graph_pictures",
            "files/graph_resizing",
            "files/raw_model",
            "files/saved_model",
            "files/tflite",
        )
    ),
)


@pytest.fixture(scope="session")
def tiny_bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder whose untrained model finds something on every cartoon; labels are those of the cartoons."""
    key = hashlib.sha256(b"".join(path.read_bytes() for path in _MADE_FROM)).hexdigest()[:16]
    cache = getattr(request.config, "cache", None)
    models = (cache.mkdir("tiny_bundle") if cache else tmp_path_factory.mktemp("tiny_bundle")) / key
    try:
        return newest_bundle(models).folder
    except BadBundle:
        subprocess.run([sys.executable, _MAKER, models / "tiny"], check=True, timeout=200)
        return newest_bundle(models).folder
