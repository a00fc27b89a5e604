"""Pictures in, detections out, one runtime a file (see ``vigie.ports.Detector``)."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vigie import adapters
from vigie.bundle import FP32, POSTPROCESS, SAVED_MODEL, Bundle, open_bundle
from vigie.errors import BadBundle
from vigie.ports import Detector

RUNTIMES = {"*.tflite": ("tflite",), SAVED_MODEL: ("saved_model", "tf_serving"), "*.onnx": ("onnxruntime", "openvino")}
"""Which adapters run which files of a bundle; the first is the file's own."""

FOREIGN = {".tflite": "tflite", ".cfg": "darknet", ".onnx": "onnxruntime"}
"""Which adapter runs a model file that is in no bundle."""

NO_OPTIONS: Mapping[str, Any] = {}


def load_detector(
    model: Path,
    *,
    runtime: str | None = None,
    file: str | None = None,
    threads: int = 2,
    score_threshold: float | None = None,
    runtime_options: Mapping[str, Any] = NO_OPTIONS,
) -> Detector:
    """Open a bundle's folder and load its default file, the `file` of that name, or the first that `runtime` runs.

    `model` may also be a single file of somebody else, see `vigie.foreign`. `score_threshold` replaces all thresholds
    of the model. `runtime_options` are further ones of the adapter that is chosen, such as the address of a server.

    Raises:
        BadBundle: the model is broken, or has no such file.
        Unavailable: the runtime's library is not installed.
    """
    if model.is_file():
        return _foreign(model, runtime, threads, score_threshold)
    bundle = open_bundle(model, verify=False)  # the adapter verifies
    found, chosen = _file_and_runtime(bundle, file, runtime)
    options = {"model": bundle.folder, "file": found, "threads": threads, "score_threshold": score_threshold}
    detector: Detector = adapters.build("detector", chosen, {**options, **runtime_options})
    return detector


def runnable(bundle: Bundle) -> dict[str, str]:
    """File -> its own runtime, of the files in the bundle that a runtime here can load; the default one first."""
    return {file: runtimes_of(file)[0] for file in _model_files(bundle)}


def runtimes_of(file: str) -> Sequence[str]:
    """The adapters that run a file of this name, its own first; none where no runtime does."""
    return next((runtimes for pattern, runtimes in RUNTIMES.items() if fnmatchcase(file, pattern)), ())


def _model_files(bundle: Bundle) -> list[str]:
    """What runs, the default one first and the one for phones last: another file of its runtime is the better one."""
    order = {bundle.manifest.default: 0, FP32: 1, POSTPROCESS: 3}
    files = sorted(bundle.manifest.files, key=lambda file: (order.get(file, 2), file))
    return [file for file in files if runtimes_of(file)]


def _file_and_runtime(bundle: Bundle, file: str | None, runtime: str | None) -> tuple[str, str]:
    files = _model_files(bundle)
    for name in files:
        for runs in runtimes_of(name):
            if file in (None, name) and runtime in (None, runs):
                return name, runs
    raise BadBundle(
        f"{bundle.folder}: has no {file or 'file'} that {runtime or 'a runtime'} could run; "
        f"it has {', '.join(f'{name} ({runtimes_of(name)[0]})' for name in files) or 'none'}"
    )


def _foreign(model: Path, runtime: str | None, threads: int, score_threshold: float | None) -> Detector:
    chosen = runtime or FOREIGN.get(model.suffix.lower())
    if chosen is None:
        raise BadBundle(f"{model}: is no bundle's folder, and of single files there are {', '.join(FOREIGN)}")
    options = {"model": model, "threads": threads, "score_threshold": score_threshold}
    detector: Detector = adapters.build("detector", chosen, options)
    return detector
