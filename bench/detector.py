"""What our detector costs over a bare LiteRT loop, over the whole frame; and what decoding of boxes costs by itself.

    python bench/detector.py [MODEL]

A frame: 640x480 JPEG to pixels, to the model's input, through the model, to boxes, drawn and encoded again. The bare
loop does the same with the same flags, tables and thresholds in one function, without classes, checks or labels.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from timing import alternated, table

from vigie.anchors import AnchorSpec, anchors_yxyx_px
from vigie.bundle import FP32, INT8, Bundle, newest_bundle, open_bundle
from vigie.cartoons import MovingScene
from vigie.decoding import Decoder
from vigie.detectors import load_detector
from vigie.domain import Detection
from vigie.drawing import PALETTE, draw_on
from vigie.pictures import JPEG_QUALITY, Picture, encode_jpeg
from vigie.settings import load_settings

PICTURES = 20
ROUNDS = 25
LARGEST_LOG_SIZE = 4.1


def main() -> None:
    bundle = open_bundle(Path(sys.argv[1])) if len(sys.argv) > 1 else newest_bundle(load_settings().models)
    scene = MovingScene(3, 640, 480, 3)
    jpegs = [encode_jpeg(scene.at(seq)[0]) for seq in range(PICTURES)]
    for file in (FP32, INT8):
        for threads in (1, 2):
            if file in bundle.manifest.files:
                whole_frame(bundle, file, threads, jpegs)
    decoding()


def whole_frame(bundle: Bundle, file: str, threads: int, jpegs: Sequence[bytes]) -> None:
    detector = load_detector(bundle.folder, runtime="tflite", file=file, threads=threads)
    run = bare_loop(bundle, file, threads)
    found = [0, 0]

    def ours() -> None:
        found[0] = 0
        for jpeg in jpegs:
            picture = Picture.from_bytes(jpeg)
            (entry,) = detector.detect([picture])
            assert isinstance(entry, list)
            found[0] += len(entry)
            rgb = picture.taken_rgb()
            draw_on(rgb, entry, detector.labels)
            encode_jpeg(rgb)

    def bare() -> None:
        found[1] = sum(map(run, jpegs))

    seconds = alternated({"bare LiteRT": bare, "vigie": ours}, ROUNDS)
    spec = bundle.manifest.input
    title = f"whole frame: {bundle.manifest.name} {file}, {spec.width}x{spec.height}, {threads} threads, found {found}"
    print(table(title, seconds, PICTURES, "frames", "bare LiteRT"))


def bare_loop(bundle: Bundle, file: str, threads: int) -> Callable[[bytes], int]:
    """A function from a JPEG to the number of objects on it."""
    facts = bundle.manifest
    size = (facts.input.width, facts.input.height)
    interpreter = Interpreter(model_path=str(bundle.file(file)), num_threads=threads)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]
    names = interpreter.get_signature_runner().get_output_details()
    boxes_at, scores_at = names[facts.outputs.boxes], names[facts.outputs.scores]
    lookup = (np.arange(256, dtype=np.float32)[:, None] - np.float32(facts.input.mean_rgb)) / np.float32(
        facts.input.std_rgb
    )
    if place["dtype"] == np.int8:
        scale, zero = place["quantization"]
        lookup = np.clip(np.round(lookup / scale) + zero, -128, 127)
    lookup = np.ascontiguousarray(lookup[None], place["dtype"])
    anchors = anchors_yxyx_px(facts.anchors, *size)
    sides = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sides / 2
    weights = np.float32(facts.box_weights)
    limits = np.float32([facts.thresholds.get(label, facts.score_threshold) for label in facts.labels])

    def output(tensor: dict) -> np.ndarray:
        values = interpreter.get_tensor(tensor["index"])[0]
        scale, zero = tensor["quantization"]
        return (values.astype(np.float32) - zero) * np.float32(scale) if scale else values

    def run(jpeg: bytes) -> int:
        rgb = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        cv2.LUT(cv2.resize(rgb, size), lookup, dst=interpreter.tensor(place["index"])()[0])
        interpreter.invoke()
        raw, scores = output(boxes_at), output(scores_at)
        height, width = rgb.shape[:2]
        shown = 0
        for column, label in enumerate(facts.labels):
            chosen = np.flatnonzero(scores[:, column] >= limits[column])
            if not chosen.size:
                continue
            offsets = raw[chosen] / weights
            centre = centres[chosen] + offsets[:, :2] * sides[chosen]
            half = np.exp(np.minimum(offsets[:, 2:], LARGEST_LOG_SIZE)) * sides[chosen] / 2
            low, high = (
                (centre - half) * (height / size[1], width / size[0]),
                2 * half * (height / size[1], width / size[0]),
            )
            boxes = np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1).tolist()
            for kept in cv2.dnn.NMSBoxes(boxes, scores[chosen, column].tolist(), 0.0, facts.nms_iou):
                left, top, across, down = map(round, boxes[kept])
                cv2.rectangle(rgb, (left, top), (left + across, top + down), PALETTE[column], 2)
                text = f"{label} {scores[chosen[kept], column]:.0%}"
                (long, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.48, 1)
                cv2.rectangle(rgb, (left, top - tall - 6), (left + long + 6, top), PALETTE[column], cv2.FILLED)
                cv2.putText(rgb, text, (left + 3, top - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (0, 0, 0), 1, cv2.LINE_AA)
                shown += 1
        cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[
            1
        ].tobytes()
        return shown

    return run


def decoding() -> None:
    """12,804 anchors x 3 classes, as a 320 px model has, with as many over the thresholds as three faces make."""
    anchors = anchors_yxyx_px(AnchorSpec(), 320, 320)
    random = np.random.default_rng(0)
    raw = random.normal(0, 1, (len(anchors), 4)).astype(np.float32)
    scores = random.beta(0.3, 20, (len(anchors), 3)).astype(np.float32)
    for at in (3000, 8000, 12000):
        scores[at : at + 8, random.integers(3)] = random.uniform(0.3, 0.95, 8)
    sides: dict[str, Callable[[], object]] = {}
    for threshold in (0.5, 0.3, 0.01):
        decoder = Decoder(("a", "b", "c"), 320, 320, anchors, score_threshold=threshold)
        over = int((scores >= threshold).sum())
        sides[f"threshold {threshold}, {over} over it"] = decode(decoder, raw, scores)
    seconds = alternated(sides, 8 * ROUNDS)  # type: ignore[arg-type]
    print(table(f"boxes and suppression: {len(anchors)} anchors, 3 classes", seconds, 1, "frames", next(iter(sides))))


def decode(decoder: Decoder, raw: np.ndarray, scores: np.ndarray) -> Callable[[], list[Detection]]:
    return lambda: decoder.decode(raw, scores, width=640, height=480)


if __name__ == "__main__":
    main()
