"""Pictures in, detections out, one runtime a file (see ``vigie.ports.Detector``)."""

from fnmatch import fnmatchcase
from pathlib import Path

from vigie import adapters
from vigie.bundle import Bundle, open_bundle
from vigie.errors import BadBundle
from vigie.ports import Detector

RUNTIMES = {"*.tflite": "tflite", "saved_model.pb": "saved_model"}
"""Which adapter runs which files of a bundle."""


def load_detector(
    model: Path,
    *,
    runtime: str | None = None,
    file: str | None = None,
    threads: int = 2,
    score_threshold: float | None = None,
) -> Detector:
    """Open the bundle `model` and load its default file, the `file` of that name, or the first that `runtime` runs.

    `score_threshold` replaces all thresholds of the bundle.

    Raises:
        BadBundle: the bundle is broken, or has no such file.
        Unavailable: the runtime's library is not installed.
    """
    bundle = open_bundle(model, verify=False)  # the adapter verifies
    found, chosen = _file_and_runtime(bundle, file, runtime)
    options = {"model": bundle.folder, "file": found, "threads": threads, "score_threshold": score_threshold}
    detector: Detector = adapters.build("detector", chosen, options)
    return detector


def runnable(bundle: Bundle) -> dict[str, str]:
    """File -> runtime, of the files in the bundle that a runtime here can load; the default one first."""
    files = sorted(bundle.manifest.files, key=lambda file: (file != bundle.manifest.default, file))
    return {file: runs for file in files for pattern, runs in RUNTIMES.items() if fnmatchcase(file, pattern)}


def _file_and_runtime(bundle: Bundle, file: str | None, runtime: str | None) -> tuple[str, str]:
    files = runnable(bundle)
    for name, runs in files.items():
        if file in (None, name) and runtime in (None, runs):
            return name, runs
    raise BadBundle(
        f"{bundle.folder}: has no {file or 'file'} that {runtime or 'a runtime'} could run; "
        f"it has {', '.join(f'{name} ({runs})' for name, runs in files.items()) or 'none'}"
    )
