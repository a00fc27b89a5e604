"""The sides of `runtimes.py`, and their turns."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from turns import Side

from vigie.bundle import FP32, INT8, ONNX, SAVED_MODEL, Bundle

ROUNDS, TURN_S = 5, 0.6

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
    """What the turns of one runtime told, of a bare loop and of our detector; milliseconds. `frame` has one a turn."""

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
        self.frame[kind].append(median(told["frame_ms"]))
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
