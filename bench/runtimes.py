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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import cv2
from alive import FACE_MASK, alive_bundle
from references import reference_ms
from turns import Side

from vigie.arrangement import this_machine
from vigie.benchmark.measuring import Benchmark, benchmark
from vigie.bundle import FP32, INT8, ONNX, SAVED_MODEL, Bundle, open_bundle
from vigie.cartoons import MovingScene
from vigie.pictures import Picture, encode_jpeg

WIDTH, HEIGHT, PICTURES = 640, 480, 24
ROUNDS, TURN_S = 6, 0.6
BENCHMARK_S = 1.0
OVERHEAD, OWN_BENCHMARK, DECODING_MS = 1.08, 0.10, 0.5
ALIKE = 0.03
"""Two sides that differ by less are alike: of the one that was chosen nothing more can be asked."""

KINDS = (
    ("tflite", FP32, "", "f32"),
    ("onnxruntime", ONNX, "", "f32"),
    ("openvino", ONNX, "f32", "f32"),
    ("opencv", ONNX, "", "f32"),
    ("saved_model", SAVED_MODEL, "", "f32"),
    ("openvino", ONNX, "bf16", "reduced"),
    ("tflite", INT8, "", "int8"),
)
"""Runtime, file, its option, and the precision that it computes in."""

NAMES = {"tflite": "LiteRT", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "opencv": "OpenCV DNN",
         "saved_model": "SavedModel"}  # fmt: skip


@dataclass
class Measured:
    """What the turns of one runtime told, of a bare loop and of our detector; milliseconds."""

    runtime: str
    file: str
    option: str
    precision: str
    bare: Side
    vigie: Side | None
    found: dict[str, int] = field(default_factory=dict)
    frame: dict[str, list[float]] = field(default_factory=lambda: {"bare": [], "vigie": []})
    infer: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    decoding: list[dict[str, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{NAMES[self.runtime]} {self.option}".strip()

    def frame_ms(self, kind: str) -> float:
        return median(self.frame[kind])

    @property
    def sides(self) -> dict[str, Side]:
        return {"bare": self.bare} if self.vigie is None else {"bare": self.bare, "vigie": self.vigie}

    def turn(self, kind: str) -> None:
        told = self.sides[kind].go()
        self.frame[kind] += told["frame_ms"]
        if kind == "bare":
            self.infer += told["infer_ms"]
            self.own += told["own_ms"]
        else:
            self.decoding.append(told)


def measure(bundle: Bundle, pictures: Path, threads: int, turn_s: float, only: str | None) -> list[Measured]:
    def side(kind: str, runtime: str, file: str, option: str) -> Side:
        program = Path(__file__).with_name("runtimes_side.py")
        return Side(program, kind, bundle.folder, pictures, runtime, file, option, threads, turn_s)

    sides = [
        Measured(
            runtime, file, option, precision,
            bare=side("bare", runtime, file, option),
            vigie=None if runtime == "opencv" else side("vigie", runtime, file, option),
        )
        for runtime, file, option, precision in KINDS
        if only in (None, runtime) and file in bundle.manifest.files
    ]  # fmt: skip
    # Heard when all are started: they load beside each other.
    for one in sides:
        one.found = {kind: side.told()["found"] for kind, side in one.sides.items()}
    for number in range(ROUNDS):
        for one in sides if number % 2 else sides[::-1]:
            for kind in list(one.sides) if number % 2 else list(one.sides)[::-1]:
                one.turn(kind)
    return sides


def judge_frames(sides: Sequence[Measured], threads: int) -> list[str]:
    print(f"\nwhole frame, {threads} threads: milliseconds, median of {ROUNDS} turns")
    print(f"  {'':<18}{'precision':<11}{'bare loop':>10}{'vigie':>9}{'ratio':>8}   objects found")
    missed: list[str] = []
    for one in sides:
        bare = one.frame_ms("bare")
        line = f"  {one.name:<18}{one.precision:<11}{bare:10.2f}"
        if one.vigie is not None:
            ratio = one.frame_ms("vigie") / bare
            line += f"{one.frame_ms('vigie'):9.2f}{ratio:8.3f}"
            if ratio > OVERHEAD:
                missed.append(
                    f"{one.name} ({one.precision}), {threads} threads: our detector costs {ratio - 1:.1%} more"
                )
        else:
            line += f"{'':17}"
        print(f"{line}   {', '.join(map(str, one.found.values()))}")
    for precision in {one.precision for one in sides}:
        found = [count for one in sides if one.precision == precision for count in one.found.values()]
        if max(found) - min(found) > 0.01 * max(found):
            missed.append(f"{precision}: not the same objects were found: {found}")
    return missed


def judge_alone(bundle: Bundle, sides: Sequence[Measured], threads: int) -> list[str]:
    """A turn before each runtime's own benchmark and one after it, so that both had the machine as it was then."""
    print(f"\nthe model alone, {threads} threads: milliseconds")
    print(f"  {'':<18}{'precision':<11}{'bare loop':>10}{'its own benchmark':>20}{'ratio':>8}")
    missed: list[str] = []
    for one in sides:
        one.infer, one.own = [], []
        one.turn("bare")
        if one.runtime == "opencv":
            own = median(one.own)
        else:
            own = reference_ms(bundle.folder, one.runtime, one.file, one.option, threads)
        one.turn("bare")
        # The one of ONNX Runtime tells the mean.
        alone = mean(one.infer) if one.runtime == "onnxruntime" else median(one.infer)
        if one.runtime == "opencv":
            own = median(one.own)
        print(f"  {one.name:<18}{one.precision:<11}{alone:10.2f}{own:20.2f}{alone / own:8.3f}")
        if alone > (1 + OWN_BENCHMARK) * own:
            missed.append(
                f"{one.name} ({one.precision}), {threads} threads: {alone / own - 1:.1%} over its own benchmark"
            )
    return missed


def judge_decoding(sides: Sequence[Measured]) -> list[str]:
    told = [turn for one in sides if one.runtime == "tflite" and one.precision == "f32" for turn in one.decoding]
    if not told:
        return []
    deployed, evaluation = (median(turn[f"{name}_ms"] for turn in told) for name in ("deployed", "evaluation"))
    print(
        f"\nboxes and suppression at the deployed thresholds: {deployed:.3f} ms (under {DECODING_MS}); "
        f"at .01: {evaluation:.3f} ms"
    )
    return [] if deployed < DECODING_MS else [f"boxes and suppression take {deployed:.3f} ms"]


def judge_choice(found: Benchmark, sides: Sequence[Measured], threads: int) -> list[str]:
    """Of each precision what `vigie benchmark` would choose beside every other runtime, bare or ours."""
    print(f"\nwhat `vigie benchmark` chooses beside the fastest of the others, {threads} threads")
    missed: list[str] = []
    for precision, winner in found.winners.items():
        own = winner.candidate
        key = own.runtime, own.options.get("precision", "")
        chosen = next((one for one in sides if (one.runtime, one.option, one.precision) == (*key, precision)), None)
        others = {
            f"{one.name}, {kind}": median(times)
            for one in sides
            if one.precision == precision and one is not chosen
            for kind, times in one.frame.items()
            if times
        }
        if chosen is None:
            continue
        ours = chosen.frame_ms("vigie")
        best = min(others, key=lambda name: others[name], default=None)
        beside = "no other" if best is None else f"{best} {others[best]:.2f} ms"
        print(f"  {precision:<9}{own.name:<36}{ours:8.2f} ms   {beside}")
        if best is not None and ours > (1 + ALIKE) * others[best]:
            missed.append(
                f"{precision}, {threads} threads: {own.name} takes {ours:.2f} ms, {best} {others[best]:.2f} ms"
            )
    return missed


def write_pictures(folder: Path) -> Path:
    """Photographs at 640x480; drawn ones where they are not here."""
    folder.mkdir()
    photographs = sorted((FACE_MASK / "images").glob("*"))[:PICTURES] if FACE_MASK.is_dir() else []
    scene = MovingScene(3, WIDTH, HEIGHT)
    for number in range(PICTURES):
        if photographs:
            rgb = cv2.resize(
                Picture.from_file(photographs[number]).rgb(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA
            )
        else:
            rgb, _ = scene.at(8 * number)
        (folder / f"{number:02}.jpg").write_bytes(encode_jpeg(rgb))
    print(f"{PICTURES} {'photographs of the face-mask set' if photographs else 'drawn pictures'} at {WIDTH}x{HEIGHT}")
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
        pictures = write_pictures(folder / "shown")
        bundle = alive_bundle(folder) if options.model is None else open_bundle(options.model)
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
