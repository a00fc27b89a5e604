"""One side of `runtimes.py` in a process of its own: a runtime in plain code, or in our detector.

At each turn it looks at frames for a while and, if it is a bare one, runs its model alone on what they become.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import bare
import cv2
from turns import Child

from vigie.bundle import open_bundle
from vigie.detectors import load_detector
from vigie.drawing import draw_on
from vigie.pictures import REDUCE_FROM, Picture, encode_jpeg
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import resized

EVALUATION = 0.01
WARM_UP = 4
DECODED = 5
"""Times that the boxes of each picture are decoded at least, at each turn."""


class Turns:
    """`frame` is from a JPEG to the number of objects; `more` adds to what a turn tells."""

    def __init__(
        self, jpegs: list[bytes], frame: Callable[[bytes], int], more: Callable[[float], dict[str, Any]]
    ) -> None:
        self._jpegs = jpegs
        self._frame = frame
        self._more = more
        for jpeg in jpegs[:WARM_UP]:
            frame(jpeg)
        self.found = sum(map(frame, jpegs))

    def turn(self, seconds: float) -> dict[str, Any]:
        taken = timed(seconds, [lambda jpeg=jpeg: self._frame(jpeg) for jpeg in self._jpegs])
        return {"frame_ms": taken, **self._more(seconds / 2)}


def timed(seconds: float, runs: list[Callable[[], object]]) -> list[float]:
    """Milliseconds of each, all of them at least once."""
    runs[0]()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < len(runs):
        begin = time.perf_counter()
        runs[len(taken) % len(runs)]()
        taken.append(1000 * (time.perf_counter() - begin))
    return taken


def bare_side(options: argparse.Namespace) -> Turns:
    bundle = open_bundle(options.bundle, verify=False)
    own_ms: Callable[[], float] | None = None
    if options.runtime == "tflite":
        prepare, run = bare.litert(bundle, options.file, options.threads)
    elif options.runtime == "onnxruntime":
        prepare, run = bare.onnxruntime(bundle, options.file, options.threads)
    elif options.runtime == "openvino":
        prepare, run = bare.openvino(bundle, options.file, options.threads, options.precision)
    elif options.runtime == "opencv":
        (prepare, run), own_ms = bare.opencv(bundle, options.file)
    else:
        prepare, run = bare.saved_model(bundle, options.threads)
    jpegs = bare.jpegs_of(options.pictures)
    taken = [prepare(resized(Picture.from_bytes(jpeg).rgb(), bundle.decoder().input_size)) for jpeg in jpegs]

    def alone(seconds: float) -> dict[str, Any]:
        own: list[float] = []

        def once(pictures: Any) -> None:
            run(pictures)
            if own_ms is not None:
                own.append(own_ms())

        alone_ms = timed(seconds, [lambda one=one: once(one) for one in taken])
        return {"infer_ms": alone_ms, "own_ms": own}

    return Turns(jpegs, bare.frame_loop(bundle, lambda rgb: run(prepare(rgb))), alone)


def our_side(options: argparse.Namespace) -> Turns:
    more = {"precision": options.precision} if options.precision else {}
    detector = load_detector(
        options.bundle, runtime=options.runtime, file=options.file, threads=options.threads, runtime_options=more
    )
    jpegs = bare.jpegs_of(options.pictures)

    def frame(jpeg: bytes) -> int:
        picture = Picture.from_bytes(jpeg, reduce_from=REDUCE_FROM)
        (found,) = detector.detect([picture])
        assert isinstance(found, list)
        rgb = picture.taken_rgb()
        draw_on(rgb, found, detector.labels)
        encode_jpeg(rgb)
        return len(found)

    return Turns(jpegs, frame, lambda _: decoding(options.bundle, detector, jpegs))


def decoding(bundle: Path, detector: Any, jpegs: list[bytes]) -> dict[str, Any]:
    """Milliseconds of boxes and suppression by themselves, at the deployed thresholds and at an evaluation's."""
    assert isinstance(detector, RawHeadsDetector)
    pictures = [Picture.from_bytes(jpeg) for jpeg in jpegs]
    outputs = [detector.outputs(resized(one.rgb(), detector.input_size)[None]) for one in pictures]
    opened = open_bundle(bundle, verify=False)
    told = {}
    for name, decoder in (("deployed", detector.decoder), ("evaluation", opened.decoder(EVALUATION))):
        runs = [
            lambda decoder=decoder, raw=raw[0], scores=scores[0], one=one: decoder.decode(
                raw, scores, width=one.width, height=one.height
            )
            for (raw, scores), one in zip(outputs, pictures, strict=True)
        ]
        taken = timed(0.1, runs * DECODED)
        # Of each picture by itself, for they differ: on some next to nothing is found.
        told[f"{name}_ms"] = mean(median(taken[at :: len(runs)]) for at in range(len(runs)))
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("bare", "vigie"))
    parser.add_argument("bundle", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("runtime")
    parser.add_argument("file")
    parser.add_argument("precision")
    parser.add_argument("threads", type=int)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    child = Child(turn=1, steps=1)
    cv2.setNumThreads(options.threads)
    side = bare_side(options) if options.kind == "bare" else our_side(options)
    child.tell({"found": side.found})
    for _ in sys.stdin:
        child.tell(side.turn(options.seconds))


if __name__ == "__main__":
    main()
