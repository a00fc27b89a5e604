"""Which code made a model."""

import importlib.metadata
import subprocess
from pathlib import Path


def code_version() -> str:
    """The package's version, with the commit where the package runs from its own repository."""
    version = importlib.metadata.version("vigie")
    here = Path(__file__).resolve()
    try:
        subprocess.run(  # noqa: S603 - a fixed command; fails where another repository holds the environment
            ["git", "ls-files", "--error-unmatch", here.name],  # noqa: S607
            cwd=here.parent,
            check=True,
            capture_output=True,
        )
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607
            cwd=here.parent,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return version
    return f"{version}+{commit}"
