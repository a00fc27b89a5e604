"""LiteRT (TensorFlow Lite) on the CPU: files of our bundles, and any detector that people have."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from vigie.anchors import Boxes
from vigie.bundle import POSTPROCESS, Bundle, open_bundle
from vigie.decoded_heads import DecodedDetector
from vigie.decoding import Scores
from vigie.errors import BadBundle
from vigie.foreign import labels as label_rows
from vigie.foreign.detector import DecodedOutputs, Known, foreign_detector
from vigie.foreign.meaning import Decoded, Output, Values
from vigie.foreign.metadata import Told, told_by
from vigie.foreign.sidecar import InputSection, read_sidecar
from vigie.ports import Detector
from vigie.raw_heads import RawHeadsDetector
from vigie.resizing import InputSize, Triple, pixel_values

logger = logging.getLogger(__name__)

USUAL_MEAN, USUAL_STD = 127.5, 127.5
"""Of a float model that does not say: pixels scaled to -1 ... 1."""

_WHOLE_RANGE = 2  # levels that a table may differ from the pixels themselves and mean them


@dataclass(frozen=True)
class Options:
    """`file`: a file of the bundle `model`, its default one without. `model` may also be a file of somebody else.

    `score_threshold` replaces all thresholds of the model.
    """

    model: Path
    file: str | None = None
    threads: int = 2
    score_threshold: float | None = None


def build(options: Options) -> Detector:
    """Load the model and run it once.

    Raises:
        BadBundle: the bundle or its model file is broken, or the two do not fit each other; or a file whose input,
            outputs or labels are not known.
        BadSetting: the sidecar of somebody else's file says what none says.
    """
    if options.model.is_file():
        return _of_file(options)
    bundle = open_bundle(options.model)
    path = bundle.file(options.file)
    if path.name == POSTPROCESS:
        return _postprocessed(bundle, path, options)
    heads = _BundleHeads(bundle, path, options.threads)
    return RawHeadsDetector(heads, bundle.decoder(options.score_threshold), where=str(path)).tried()


def _of_file(options: Options) -> Detector:
    path = options.model
    sidecar = read_sidecar(path)
    network = Network(path, options.threads)
    _set_input(network, sidecar.input, network.told)
    known = Known(network.told.labels, network.places, network.classes)
    return foreign_detector(network, path, sidecar, known, score_threshold=options.score_threshold)


def _postprocessed(bundle: Bundle, path: Path, options: Options) -> Detector:
    """The file takes one normalisation of all channels, as its metadata says, and has thinned out its boxes."""
    facts = bundle.manifest
    network = Network(path, options.threads)
    _set_input(network, InputSection(), network.told)
    places = network.places
    if not places:
        raise BadBundle(f"{path}: has no operation in it that decodes boxes; export the model again")
    names = label_rows.of_classes(facts.labels, network.classes, False, str(path))
    return DecodedDetector(
        DecodedOutputs(network, Decoded(**places), str(path)),
        labels=names,
        input_size=InputSize(facts.input.width, facts.input.height, facts.input.resize),
        where=str(path),
        score_threshold=facts.score_threshold if options.score_threshold is None else options.score_threshold,
        thresholds=facts.thresholds if options.score_threshold is None else {},
        max_detections=facts.max_detections,
    ).tried()


class Network:
    """An interpreter with one picture as its input; what a pixel becomes stands in a table of 256 rows."""

    def __init__(self, path: Path, threads: int) -> None:
        self.path = path
        self._interpreter = _interpreter(path, threads)
        self.told = told_by(path)
        op = self.told.postprocess
        if op is not None and op.regular_nms and threads > 1:
            # In this mode the operation gives wrong boxes when it runs on several threads.
            logger.info("%s: runs on 1 thread: its post-processing is not safe on %d", path, threads)
            self._interpreter = _interpreter(path, 1)
        details = self._interpreter.get_input_details()
        if len(details) != 1 or len(shape := details[0]["shape"]) != 4 or (shape[0], shape[3]) != (1, 3):
            raise BadBundle(
                f"{path}: takes {_listed(details)}, and a detector takes one picture 1 x height x width x 3"
            )
        self._input = int(details[0]["index"])
        self.height, self.width = int(shape[1]), int(shape[2])
        self.kind = np.dtype(details[0]["dtype"])
        self.quantisation = _quantisation(details[0])
        if self.kind not in (np.uint8, np.int8, np.float32):
            raise BadBundle(f"{path}: takes {_listed(details)}, and pixels come as uint8, int8 or float32")
        self._outputs = self._interpreter.get_output_details()
        self.outputs = _outputs(self._interpreter, self._outputs, self.told.outputs)
        self._table = np.zeros((1, 256, 3), self.kind)

    def __str__(self) -> str:
        return _listed(self._interpreter.get_input_details())

    @property
    def classes(self) -> int | None:
        return None if self.told.postprocess is None else self.told.postprocess.classes

    @property
    def places(self) -> Mapping[str, int]:
        """Of the outputs of the operation that decodes boxes, where there is one."""
        tensors = [int(output["index"]) for output in self._outputs]
        op = self.told.postprocess
        if op is None or not set(op.tensors) <= set(tensors):
            return {}
        return dict(zip(("boxes", "classes", "scores", "count"), map(tensors.index, op.tensors), strict=True))

    def takes(self, table: npt.NDArray[Any]) -> None:
        """256 x 3: what a value of red, green and blue becomes."""
        self._table = np.ascontiguousarray(table[None], self.kind)

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> list[Values]:
        found = [self._one(picture) for picture in rgb_u8]
        if len(found) == 1:
            return [np.asarray(one) for one in found[0]]
        return [np.concatenate([np.atleast_1d(one) for one in of_output]) for of_output in zip(*found, strict=True)]

    def _one(self, picture: npt.NDArray[np.uint8]) -> list[Values]:
        # Straight into the tensor; the view must not outlive this line, or the interpreter refuses to run.
        cv2.LUT(picture, self._table, dst=self._interpreter.tensor(self._input)()[0])
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise BadBundle(f"{self.path}: cannot be run by LiteRT: {_first_line(error)}") from error
        return [_meant(self._interpreter.get_tensor(one["index"]), _quantisation(one)) for one in self._outputs]


class _BundleHeads:
    """Raw heads of one of our files. Outputs are found by their names in its signature: their order varies."""

    def __init__(self, bundle: Bundle, path: Path, threads: int) -> None:
        spec, names = bundle.manifest.input, bundle.manifest.outputs
        self._network = Network(path, threads)
        if (self._network.height, self._network.width) != (spec.height, spec.width):
            raise BadBundle(
                f"{path}: takes {self._network}, the manifest expects one picture (1, {spec.height}, {spec.width}, 3); "
                "export the model again"
            )
        self._network.takes(pixel_table(self._network, spec.mean_rgb, spec.std_rgb))
        self._boxes, self._scores = (self._place(name, path) for name in (names.boxes, names.scores))

    def _place(self, name: str, path: Path) -> int:
        for place, output in enumerate(self._network.outputs):
            if name in output.names:
                return place
        found = ", ".join(sorted(output.names[0] for output in self._network.outputs))
        raise BadBundle(f"{path}: has the outputs {found}, the manifest expects {name}; export the model again")

    def __call__(self, rgb_u8: npt.NDArray[np.uint8]) -> tuple[Boxes, Scores]:
        outputs = self._network(rgb_u8)
        return outputs[self._boxes], outputs[self._scores]


def pixel_table(network: Network, mean_rgb: Triple, std_rgb: Triple) -> npt.NDArray[Any]:
    """256 x 3: (pixel - mean) / std, in whole numbers where the input has such."""
    values = pixel_values(mean_rgb, std_rgb)
    if network.kind == np.float32:
        return values
    scale, zero = network.quantisation
    if scale == 0:
        raise BadBundle("a quantised input without a scale")
    limits = np.iinfo(network.kind)
    steps = (values / np.float32(scale)).astype(np.float64)
    # Halves away from zero, as TensorFlow Lite's own quantisation rounds.
    whole = np.trunc(steps + np.copysign(0.5, steps)) + zero
    return np.asarray(np.clip(whole, limits.min, limits.max), network.kind)


def _set_input(network: Network, asked: InputSection, told: Told) -> None:
    """What the sidecar says, else the metadata, else the usual: pixels as they are, or scaled to -1 ... 1."""
    if asked.mean is not None and asked.std is not None:
        network.takes(pixel_table(network, _triple(asked.mean), _triple(asked.std)))
    elif network.kind == np.float32:
        mean, std = told.mean_rgb, told.std_rgb
        if mean is None or std is None:
            logger.info("%s: does not say how pixels are normalised: taken as (x - 127.5) / 127.5", network.path)
            mean, std = _triple(USUAL_MEAN), _triple(USUAL_STD)
        network.takes(pixel_table(network, mean, std))
    else:
        as_they_are = (np.arange(256)[:, None] + np.iinfo(network.kind).min).repeat(3, axis=1)
        table = as_they_are
        if told.mean_rgb is not None and told.std_rgb is not None:
            table = pixel_table(network, told.mean_rgb, told.std_rgb).astype(np.int64)
            if np.abs(table - as_they_are).max() <= _WHOLE_RANGE:
                table = as_they_are  # the rounding of two conventions
        network.takes(table)


def _triple(value: float | Triple) -> Triple:
    return (value, value, value) if isinstance(value, float) else value


def _interpreter(path: Path, threads: int) -> Any:
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BadBundle(
            f"{path}: cannot be loaded by LiteRT: {_first_line(error)}; export or fetch it again"
        ) from error
    return interpreter


def _outputs(interpreter: Any, details: Sequence[Mapping[str, Any]], told: Sequence[str]) -> tuple[Output, ...]:
    """Each with its name in the signature, in the metadata and in the graph."""
    signatures = interpreter.get_signature_list()
    named: dict[int, str] = {}
    if signatures:
        runner = interpreter.get_signature_runner(next(iter(signatures)))
        named = {int(tensor["index"]): name for name, tensor in runner.get_output_details().items()}
    return tuple(
        Output(
            tuple(filter(None, (named.get(int(one["index"])), told[at] if at < len(told) else "", one["name"]))),
            tuple(map(int, one["shape"])),
        )
        for at, one in enumerate(details)
    )


def _quantisation(tensor: Mapping[str, Any]) -> tuple[float, int]:
    scale, zero = tensor["quantization"]
    return float(scale), int(zero)


def _meant(values: npt.NDArray[Any], quantisation: tuple[float, int]) -> Values:
    if values.dtype == np.float32:
        return values
    scale, zero = quantisation
    numbers = values.astype(np.float32)
    if scale:
        numbers -= zero
        numbers *= np.float32(scale)
    return numbers


def _listed(details: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['name']} {tuple(map(int, one['shape']))} {np.dtype(one['dtype'])}" for one in details)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
