"""Where the project is: every path that a person writes starts there."""

from pathlib import Path


def project_root(start: Path | None = None) -> Path:
    """The folder that holds `config/` and `notebooks/`: here, above here, or where this package is linked from.

    JupyterLab starts a notebook in `notebooks/`; every path a person writes is relative to the root all the same.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "config" / "vigie.yaml").is_file() and (folder / "notebooks").is_dir():
            return folder
    return here
