"""Whether a model file takes and gives what its bundle's manifest says, in words that name both."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from vigie.bundle import Manifest
from vigie.errors import BadBundle

Side = int | None
"""Of a tensor's shape; None where any number fits."""


def check_signature(
    path: Path, manifest: Manifest, *, inputs: Mapping[str, tuple[Sequence[Side], str]], outputs: Collection[str]
) -> int | None:
    """`inputs` are shapes and kinds of numbers ("float32") by name. Returns the batch that it takes, None for any.

    Raises:
        BadBundle: it takes something else than pictures of the manifest's size, or lacks one of the two outputs.
    """
    spec, wanted = manifest.input, manifest.outputs
    picture = [spec.height, spec.width, 3]
    taken = list(inputs.values())
    if len(taken) != 1 or list(taken[0][0][1:]) != picture or taken[0][1] != "float32":
        told = ", ".join(f"{name} {_shape(shape)} {kind}" for name, (shape, kind) in inputs.items()) or "nothing"
        raise BadBundle(
            f"{path}: takes {told}, the manifest expects pictures {_shape([None, *picture])} float32; "
            "export the model again"
        )
    for name in (wanted.boxes, wanted.scores):
        if name not in outputs:
            raise BadBundle(
                f"{path}: has the outputs {', '.join(sorted(outputs)) or 'none'}, the manifest expects {name}; "
                "export the model again"
            )
    return taken[0][0][0]


def _shape(shape: Sequence[Side]) -> str:
    return f"({', '.join('any' if side is None else str(side) for side in shape)})"
