"""What a picture takes a file: a glance for the table; `vigie benchmark` measures with care."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from vigie.detectors import load_detector
from vigie.errors import VigieError
from vigie.pictures import Picture
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector

logger = logging.getLogger(__name__)

_WARM_UP = 2
_TIMES = 10
_ALONE_S = 120.0
_ALONE = frozenset({"saved_model"})  # TensorFlow takes its number of threads once in a process


def milliseconds(folder: Path, file: str, runtime: str, *, threads: int) -> float | None:
    """The median of a few pictures of noise through the model, without decoding of boxes; None where it breaks down."""
    try:
        if runtime in _ALONE:
            return _in_a_process_of_its_own(folder, file, runtime, threads)
        return _milliseconds(folder, file, runtime, threads)
    except (VigieError, subprocess.SubprocessError, ValueError) as error:
        logger.warning("not timed: file=%s threads=%d: %s", file, threads, error)
        return None


def _milliseconds(folder: Path, file: str, runtime: str, threads: int) -> float:
    detector = load_detector(folder, file=file, runtime=runtime, threads=threads)
    run = _prepared(detector)
    took = []
    for _ in range(_WARM_UP + _TIMES):
        begin = time.perf_counter()
        run()
        took.append(time.perf_counter() - begin)
    return round(median(took[_WARM_UP:]) * 1000, 2)


def _prepared(detector: Detector) -> Callable[[], object]:
    """Noise, in which next to nothing is found."""
    rng = np.random.default_rng(0)
    if isinstance(detector, RawHeadsDetector):
        size = detector.decoder.input_size
        pixels = rng.integers(0, 256, (1, size.height, size.width, 3), np.uint8)
        return lambda: detector.outputs(pixels)
    picture = Picture.from_pixels(rng.integers(0, 256, (64, 64, 3), np.uint8))
    return lambda: detector.detect([picture])


def _in_a_process_of_its_own(folder: Path, file: str, runtime: str, threads: int) -> float:
    command = [sys.executable, "-m", "vigie.export.gate.timing", str(folder), file, runtime, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_ALONE_S, check=True)  # noqa: S603 - ours
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    from vigie.data.quiet import quiet_tensorflow

    quiet_tensorflow()
    import tensorflow as tf

    _folder, _file, _runtime, _threads = sys.argv[1:]
    tf.config.threading.set_intra_op_parallelism_threads(int(_threads))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    sys.stdout.write(f"{_milliseconds(Path(_folder), _file, _runtime, int(_threads))}\n")
