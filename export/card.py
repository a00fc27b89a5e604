"""The model card: what a person who is handed the folder wants to know."""

from collections.abc import Mapping

from vigie.bundle import InputSpec, ModelFacts
from vigie.resizing import GREY


def card(name: str, facts: ModelFacts) -> str:
    """Markdown, made from the values of the manifest."""
    spec = facts.input
    return f"""# {name}

An object detector, SSD MobileNet V2 FPNLite, made by Vigie {facts.code} after {facts.step} training steps.

Classes: {", ".join(facts.labels)}.

Input: RGB pictures {_resized(spec)}. `saved_model.pb` takes uint8 pixels; the
`.tflite` files take float32, (pixel - mean) / deviation with mean {_triple(spec.mean_rgb)} and deviation
{_triple(spec.std_rgb)} for pixels of 0 to 255.

Output: `{facts.outputs.boxes}` (offsets from anchors) and `{facts.outputs.scores}` (a probability a class), neither
decoded nor suppressed; `manifest.json` tells the anchors, and Vigie does the rest with a threshold of
{facts.score_threshold}.

## Measured on the held-back test pictures

{_table(facts.metrics)}

## Run it

    vigie predict . PICTURES --out found

TensorFlow Serving takes the folder above this one as its model base path. `manifest.json` has the sha256 of every
file; Vigie refuses a file that was changed.
"""


def _resized(spec: InputSpec) -> str:
    size = f"{spec.width}x{spec.height} pixels"
    if spec.resize == "stretch":
        return f"stretched to {size}"
    return f"resized with their aspect ratio kept, in the middle of {size} of grey ({GREY})"


def _table(metrics: Mapping[str, Mapping[str, float | None]]) -> str:
    if not metrics:
        return "Nothing yet."
    names = list(next(iter(metrics.values())))
    lines = [_row("file", *names), _row(*["---"] * (len(names) + 1))]
    lines += [_row(file, *(_number(values.get(name)) for name in names)) for file, values in metrics.items()]
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _triple(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
