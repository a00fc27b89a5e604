"""Our detector beside bare loops of each runtime, over the whole frame; and whether `vigie benchmark` chooses well.

    python bench/runtimes.py [--threads 2 1] [--model BUNDLE] [--only RUNTIME]

A frame: a 640x480 JPEG to pixels, to the model's input, through the model, to boxes, thinned out, drawn and encoded
again. Bare loops (`bare.py`) are plain code for one runtime. Each side runs in a process of its own, in turns, with the
same pictures, decode flags, threads, thresholds and precision, and has to find as many objects as the others of its
precision. The model alone, in a bare loop, has to come within 10 % of what that runtime's own benchmark says
(`references.py`). It is our network at 320x320, untrained, whose scores are spread like those of a trained one
(`alive.py`). Prints what is not as it should be, and exits with 1 then.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
from alive import FACE_MASK, alive_bundle
from runtimes_judged import judge_alone, judge_choice, judge_decoding, judge_frames
from runtimes_turns import NAMES, TURN_S, measure

from vigie.arrangement import this_machine
from vigie.benchmark.measuring import benchmark
from vigie.bundle import Bundle, open_bundle
from vigie.cartoons import MovingScene
from vigie.detectors import load_detector
from vigie.pictures import Picture, encode_jpeg

WIDTH, HEIGHT, PICTURES = 640, 480, 24
CANDIDATES, OBJECTS = 120, 4
"""Of so many photographs those are taken on which about so many objects are found."""

BENCHMARK_S = 1.0


def write_pictures(bundle: Bundle, folder: Path) -> Path:
    """Photographs at 640x480, drawn ones where they are not here: those on which about `OBJECTS` are found."""
    photographs = sorted((FACE_MASK / "images").glob("*"))[:CANDIDATES] if FACE_MASK.is_dir() else []
    scene = MovingScene(3, WIDTH, HEIGHT)
    shown = [
        cv2.resize(Picture.from_file(one).rgb(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for one in photographs
    ]
    pictures = [
        Picture.from_bytes(encode_jpeg(rgb)) for rgb in shown or (scene.at(8 * at)[0] for at in range(CANDIDATES))
    ]
    detector = load_detector(bundle.folder)
    found = [len(entry) for entry in detector.detect(pictures) if isinstance(entry, list)]
    typical = sorted(range(len(pictures)), key=lambda at: abs(found[at] - OBJECTS))[:PICTURES]
    folder.mkdir()
    for number, at in enumerate(typical):
        (folder / f"{number:02}.jpg").write_bytes(pictures[at].jpeg())
    print(
        f"{len(typical)} {'photographs of the face-mask set' if photographs else 'drawn pictures'} "
        f"at {WIDTH}x{HEIGHT}, with {min(found[at] for at in typical)} to {max(found[at] for at in typical)} objects"
    )
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description="our detector beside bare loops of each runtime")
    parser.add_argument("--threads", type=int, nargs="+", default=[this_machine().cores])
    parser.add_argument("--model", type=Path, help="a bundle instead of the one that is made")
    parser.add_argument("--only", choices=sorted(NAMES))
    parser.add_argument("--turn", type=float, default=TURN_S, help="seconds of a turn")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = alive_bundle(folder) if options.model is None else open_bundle(options.model)
        pictures = write_pictures(bundle, folder / "shown")
        print(
            f"{bundle.manifest.name}, {bundle.manifest.input.width}x{bundle.manifest.input.height}, on {this_machine()}"
        )
        chosen = benchmark(bundle.folder, picture=pictures, purpose="latency", seconds=BENCHMARK_S)
        for threads in options.threads:
            sides = measure(bundle, pictures, threads, options.turn, options.only)
            missed += judge_frames(sides, threads)
            missed += judge_choice(chosen, sides, threads)
            missed += judge_decoding(sides)
            missed += judge_alone(bundle, sides, threads)
            for side in (side for one in sides for side in one.sides.values()):
                side.end()
    print()
    for text in missed:
        print(f"NOT MET: {text}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
