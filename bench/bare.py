"""Detection of objects on a JPEG in plain code: what an engineer writes who needs it for one model and one runtime.

The same for every runtime but for the few lines that run the model. No classes, checks, labels map or bad pictures:
the least that does the work.
"""

# ruff: noqa: PLC0415 - a side needs the library of its own runtime alone

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vigie.anchors import anchors_yxyx_px
from vigie.bundle import Bundle
from vigie.drawing import PALETTE
from vigie.pictures import JPEG_QUALITY

Array = npt.NDArray[Any]
Infer = Callable[[Array], tuple[Array, Array]]
"""Pixels at the size of the input -> raw boxes N x 4, scores N x C."""

Prepared = tuple[Callable[[Array], Any], Callable[[Any], tuple[Array, Array]]]
"""Pixels to what the model takes, and the run of the model alone."""

_LARGEST_LOG_SIZE = 4.135
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def frame_loop(bundle: Bundle, infer: Infer) -> Callable[[bytes], int]:
    """A function from a JPEG to the number of objects on it; it decodes, finds, draws and encodes."""
    facts = bundle.manifest
    size = (facts.input.width, facts.input.height)
    anchors = anchors_yxyx_px(facts.anchors, *size)
    sides = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sides / 2
    weights = np.float32(facts.box_weights)
    limits = [facts.thresholds.get(label, facts.score_threshold) for label in facts.labels]
    lowest = min(limits)

    def frame(jpeg: bytes) -> int:
        rgb = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        raw, scores = infer(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR))
        height, width = rgb.shape[:2]
        scale = np.array([height / size[1], width / size[0]], np.float32)
        found = 0
        likely = np.flatnonzero((scores >= lowest).any(axis=1))
        raw, scores, side, centre = raw[likely], scores[likely], sides[likely], centres[likely]
        offsets = raw / weights
        middle = centre + offsets[:, :2] * side
        half = np.exp(np.minimum(offsets[:, 2:], _LARGEST_LOG_SIZE)) * side / 2
        low = np.clip((middle - half) * scale, 0, (height, width))
        high = np.clip((middle + half) * scale, 0, (height, width))
        boxes = np.concatenate([low[:, ::-1], (high - low)[:, ::-1]], axis=1)
        for column, label in enumerate(facts.labels):
            own = np.flatnonzero(scores[:, column] >= limits[column])
            kept = cv2.dnn.NMSBoxes(boxes[own].tolist(), scores[own, column].tolist(), 0.0, facts.nms_iou)
            for at in own[list(kept)]:
                left, top, across, down = map(round, boxes[at].tolist())
                colour = PALETTE[column]
                cv2.rectangle(rgb, (left, top), (left + across - 1, top + down - 1), colour, 2)
                text = f"{label} {scores[at, column]:.0%}"
                (long, tall), _ = cv2.getTextSize(text, _FONT, 0.48, 1)
                base = max(top, tall + 6)
                cv2.rectangle(rgb, (left, base - tall - 6), (left + long + 6, base), colour, cv2.FILLED)
                cv2.putText(rgb, text, (left + 3, base - 3), _FONT, 0.48, (0, 0, 0), 1, cv2.LINE_AA)
                found += 1
        cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return found

    return frame


def litert(bundle: Bundle, file: str, threads: int) -> Prepared:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(bundle.file(file)), num_threads=threads)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]
    given = interpreter.get_signature_runner().get_output_details()
    outputs = [given[name] for name in (bundle.manifest.outputs.boxes, bundle.manifest.outputs.scores)]
    table = _table(bundle)
    if taken["dtype"] == np.int8:
        scale, zero = taken["quantization"]
        table = np.clip(np.round(table / scale) + zero, -128, 127).astype(np.int8)

    def prepare(rgb: Array) -> None:
        cv2.LUT(rgb, table, dst=interpreter.tensor(taken["index"])()[0])

    def run(_: None) -> tuple[Array, Array]:
        interpreter.invoke()
        raw, scores = (real(interpreter.get_tensor(one["index"])[0], one["quantization"]) for one in outputs)
        return raw, scores

    def real(values: Array, quantisation: tuple[float, int]) -> Array:
        scale, zero = quantisation
        return (values.astype(np.float32) - zero) * np.float32(scale) if scale else values

    return prepare, run


def onnxruntime(bundle: Bundle, file: str, threads: int) -> Prepared:
    import onnxruntime as runtime

    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(bundle.file(file)), settings, providers=["CPUExecutionProvider"])
    table, name = _table(bundle), session.get_inputs()[0].name
    names = [bundle.manifest.outputs.boxes, bundle.manifest.outputs.scores]

    def run(pictures: Array) -> tuple[Array, Array]:
        raw, scores = session.run(names, {name: pictures})
        return raw[0], scores[0]

    return lambda rgb: cv2.LUT(rgb, table)[None], run


def openvino(bundle: Bundle, file: str, threads: int, precision: str) -> Prepared:
    import openvino as runtime

    spec = bundle.manifest.input
    core = runtime.Core()
    model = core.read_model(bundle.file(file))
    model.reshape([1, spec.height, spec.width, 3])
    steps = runtime.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(runtime.Type.u8).set_layout(runtime.Layout("NHWC"))
    steps.input().preprocess().convert_element_type(runtime.Type.f32).mean(list(spec.mean_rgb)).scale(
        list(spec.std_rgb)
    )
    settings = {"NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads), "INFERENCE_PRECISION_HINT": precision}
    compiled = core.compile_model(steps.build(), "CPU", {**settings, "ENABLE_CPU_PINNING": "NO"})
    request = compiled.create_infer_request()
    outputs = [compiled.output(name) for name in (bundle.manifest.outputs.boxes, bundle.manifest.outputs.scores)]

    def run(pictures: Array) -> tuple[Array, Array]:
        request.infer({0: pictures}, share_inputs=True)
        raw, scores = (request.get_tensor(one).data[0] for one in outputs)
        return raw, scores

    return lambda rgb: rgb[None], run


def opencv(bundle: Bundle, file: str) -> tuple[Prepared, Callable[[], float]]:
    """And what OpenCV says by itself that its last run took, in milliseconds. Threads are those of the process."""
    net = cv2.dnn.readNetFromONNX(str(bundle.file(file)))
    table = _table(bundle)
    names = [bundle.manifest.outputs.boxes, bundle.manifest.outputs.scores]

    def run(pictures: Array) -> tuple[Array, Array]:
        net.setInput(pictures)
        raw, scores = net.forward(names)
        return raw[0], scores[0]

    def own_ms() -> float:
        return float(1000 * net.getPerfProfile()[0] / cv2.getTickFrequency())

    return (lambda rgb: cv2.LUT(rgb, table)[None], run), own_ms


def saved_model(bundle: Bundle, threads: int) -> Prepared:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = tf.saved_model.load(str(bundle.folder))
    signature = model.signatures["raw_heads"]
    names = bundle.manifest.outputs

    def run(pictures: Any) -> tuple[Array, Array]:
        assert model is not None  # it must outlive its signature
        found = signature(pictures=pictures)
        return found[names.boxes].numpy()[0], found[names.scores].numpy()[0]

    return lambda rgb: tf.constant(rgb[None]), run


def _table(bundle: Bundle) -> Array:
    """What a pixel of each colour becomes, as `cv2.LUT` takes it."""
    spec = bundle.manifest.input
    values = np.arange(256, dtype=np.float32)[:, None] - np.float32(spec.mean_rgb)
    return np.ascontiguousarray((values / np.float32(spec.std_rgb))[None], np.float32)


def jpegs_of(folder: Path) -> list[bytes]:
    return [one.read_bytes() for one in sorted(folder.glob("*.jpg"))]
