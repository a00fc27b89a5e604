"""What a test needs that a machine may lack. Each function skips and names it.

With VIGIE_NO_SKIP=1, as in CI, it fails instead: there a skip is a failure.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]


def missing(reason: str) -> NoReturn:
    if os.environ.get("VIGIE_NO_SKIP") == "1":
        pytest.fail(f"{reason} (VIGIE_NO_SKIP=1: a skip is a failure)", pytrace=False)
    pytest.skip(reason)


def java_and_maven() -> None:
    absent = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if absent:
        missing(f"needs {' and '.join(absent)}: apt-get install openjdk-17-jre-headless maven")


def chromium() -> Path:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    missing("needs Chromium: apt-get install chromium")


def shared_data() -> Path:
    """The folder of real pictures, videos and models beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        missing("needs the folder shared/data beside the checkout")
    return folder
