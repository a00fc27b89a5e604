"""The parts of a model card that tell what lies in the bundle, and how to run it."""

from vigie.bundle import FP16, FP32, INT8, ONNX, POSTPROCESS, SAVED_MODEL, InputSpec, ModelFacts
from vigie.export.card.facts import CardFacts
from vigie.export.card.markdown import number, table, text, triple
from vigie.export.gate.results import FileResult
from vigie.resizing import GREY

_FILES = {
    INT8: "int8 in and out, whole numbers inside: the smallest, and the fastest on most processors",
    FP32: "float32, raw heads",
    FP16: "float32 in and out, weights of half the size, raw heads",
    SAVED_MODEL: "with `variables/`: TF Serving's; signatures `serving_default`, `serving_jpeg` and `raw_heads`",
    ONNX: "float32, raw heads, for ONNX Runtime and OpenVINO",
    POSTPROCESS: "gives boxes itself, for phones and MediaPipe; to be run on one thread",
}


def files_section(facts: CardFacts) -> str:
    gate = facts.gate
    head = ("file", "MB", "mAP", "mAP50", "mAP, test", "boxes off", "scores off", "ms, 1 thread", "ms, 2 threads")
    rows = [("the checkpoint", "", number(gate.checkpoint.mAP), number(gate.checkpoint.mAP50), *[""] * 5)]
    rows += [_file(one, facts.model) for one in gate.files if one.passed]
    refused = [f"- `{one.file}` was refused and is not here: {text('; '.join(one.reasons))}." for one in gate.refusals]
    meant = [f"- `{one.file}`: {_FILES[one.file]}" for one in gate.files if one.passed]
    return "\n\n".join(
        part
        for part in (
            "## Files",
            "\n".join([*meant, *refused]),
            f"Each was run by its own runtime on the {gate.pictures} pictures of the validation part, beside the "
            "checkpoint: how far its boxes (scored .05 or more, in pixels of the input) and scores lie off at most, "
            "and the milliseconds of a picture on the machine that made it. `gate.json` has the classes and the "
            "tolerances.",
            table(head, rows),
            _input(facts.model.input),
        )
        if part
    )


def _file(one: FileResult, model: ModelFacts) -> tuple[str, ...]:
    assert one.measured is not None
    return (
        f"`{one.file}`",
        f"{one.bytes / 1e6:.2f}",
        number(one.measured.mAP),
        number(one.measured.mAP50),
        number(model.metrics.get(one.file, {}).get("mAP")),
        "" if one.boxes_px is None else f"{one.boxes_px:.2g} px",
        "" if one.score is None else f"{one.score:.2g}",
        *("" if (took := one.milliseconds.get(threads)) is None else f"{took:.1f}" for threads in (1, 2)),
    )


def _input(spec: InputSpec) -> str:
    return (
        f"Pictures come in {_resized(spec)}, RGB. The raw-head files take (pixel - mean) / deviation with mean "
        f"{triple(spec.mean_rgb)} and deviation {triple(spec.std_rgb)} for pixels of 0 to 255, and give offsets from "
        "anchors and a probability a class, neither decoded nor suppressed; `manifest.json` tells the anchors."
    )


def running_section(facts: CardFacts) -> str:
    passed = {one.file for one in facts.gate.files if one.passed}
    name = facts.name
    parts = ["## Run it", "    vigie predict . PICTURES --out found"]
    if SAVED_MODEL in passed:
        parts.append(
            "TensorFlow Serving takes the folder above this one as its model base path, and encoded pictures over "
            "REST:\n\n"
            f'    tensorflow_model_server --rest_api_port=8501 --model_name={name} --model_base_path="$(realpath ..)"\n'
            '    echo "{\\"signature_name\\": \\"serving_jpeg\\", \\"instances\\": '
            '[{\\"b64\\": \\"$(base64 -w0 PICTURE.jpg)\\"}]}" |\n'
            f"        curl localhost:8501/v1/models/{name}:predict -d @-"
        )
    if POSTPROCESS in passed:
        parts.append(
            "On phones, and with MediaPipe Tasks, which reads labels and normalisation from the file:\n\n"
            "    from mediapipe.tasks.python import BaseOptions, vision\n\n"
            f'    options = vision.ObjectDetectorOptions(BaseOptions("{POSTPROCESS}"), score_threshold=0.5)\n'
            "    detector = vision.ObjectDetector.create_from_options(options)"
        )
    parts.append(
        "With LiteRT alone, `Interpreter(file, num_threads=2).get_signature_runner()` gives the raw heads by their "
        "names.\n\n"
        "`manifest.json` has the sha256 of every file; Vigie refuses a file that was changed."
    )
    return "\n\n".join(parts)


def _resized(spec: InputSpec) -> str:
    size = f"{spec.width}x{spec.height} pixels"
    if spec.resize == "stretch":
        return f"stretched to {size}"
    return f"resized with their aspect ratio kept, in the middle of {size} of grey ({GREY})"
