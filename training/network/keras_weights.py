"""Weights of Keras' MobileNetV2 as those of our backbone.

Keras' network takes pixels in [-1, 1], ours pixels from which ImageNet's mean was subtracted and which were divided by
its deviation; the difference goes into the first convolution and its batch norm, exactly. Only at the picture's border,
where both networks pad with 0, does 0 mean another grey: 127.5 to Keras, ImageNet's mean here.
"""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras

from vigie.errors import BadSetting
from vigie.training.network.checkpoint_weights import Values
from vigie.training.network.model import PIXEL_MEAN_RGB, PIXEL_STD_RGB

IMAGENET_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Those for which Keras has weights."""

KERAS_EPSILON = 1e-3
"""Of every batch norm in Keras' MobileNetV2."""

_FIRST_CONV, _FIRST_NORM = "backbone/block_0/conv0/kernel", "backbone/block_0/norm0"
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_VARIABLES = {"conv2d": ("kernel",), "depthwise_conv2d": ("depthwise_kernel",), "batch_normalization": _NORM}


class _Layer(NamedTuple):
    """A layer of Keras' network that has weights: ours, Keras' name and its class as saved files spell it."""

    ours: str
    theirs: str
    kind: str


class Found(NamedTuple):
    """Values for our backbone, and what else there was, by Keras' names."""

    values: Values
    others: tuple[str, ...]


def downloaded_weights(width: float, epsilon: float) -> Found:
    """ImageNet weights as Keras downloads them, once; `epsilon` is that of our batch norms.

    Raises:
        BadSetting: no such width, or the download failed.
    """
    if width not in IMAGENET_WIDTHS:
        raise BadSetting(
            f"training.init: imagenet weights exist for the widths {', '.join(map(str, IMAGENET_WIDTHS))}, "
            f"model.backbone_width is {width}; take one of these or name a .h5 file of your own"
        )
    try:
        # Keras prints its progress; standard output is for results.
        with contextlib.redirect_stdout(sys.stderr):
            donor = tf_keras.applications.MobileNetV2((224, 224, 3), alpha=width, include_top=False, weights="imagenet")
    except Exception as error:
        raise BadSetting(
            f"training.init: imagenet: Keras could not download the weights into ~/.keras/models, or not read what "
            f"is there ({str(error).splitlines()[0]}); try again, or give the path of a .h5 file of "
            f"tf_keras.applications.MobileNetV2(alpha={width}, include_top=False) as training.init"
        ) from error
    layers = [
        (layer.name, {_last(weight.name): weight.numpy() for weight in layer.weights})
        for layer in donor.layers
        if layer.weights
    ]
    return _as_ours("imagenet", layers, epsilon)


def file_weights(path: Path, epsilon: float) -> Found:
    """Weights saved by `save_weights` of Keras' MobileNetV2, with or without its classifier, in either layout of .h5.

    Raises:
        BadSetting: no HDF5, cut off, or of another architecture.
    """
    try:
        import h5py  # type: ignore[import-untyped]  # noqa: PLC0415 - a training without such a file needs none
    except ImportError as error:
        raise BadSetting(f"training.init: {path}: reading it needs h5py; pip install h5py") from error
    try:
        with h5py.File(path) as file:
            layers = list(_of_container(file["layers"]) if "layers" in file else _of_names(file))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise BadSetting(
            f"training.init: {path}: cannot be read as HDF5 weights ({str(error).splitlines()[0]}); it may be cut off "
            f"or another kind of file"
        ) from error
    return _as_ours(str(path), layers, epsilon)


def _of_names(file: Any) -> Iterator[tuple[str, Values]]:
    """Keras 2's layout: groups after the layers, in the order of the attribute `layer_names`."""
    group = file.get("model_weights", file)
    for layer in group.attrs["layer_names"]:
        weights = {_last(name): group[layer][name][()] for name in group[layer].attrs["weight_names"]}
        if weights:
            yield _text(layer), weights


def _of_container(group: Any) -> Iterator[tuple[str, Values]]:
    """Keras 3's layout: groups after the layers' classes, numbered; our layers first, then what is left."""
    rest = dict.fromkeys(name for name in group if len(group[name].get("vars", ())))
    count: Counter[str] = Counter()
    for layer in _LAYERS:
        name = f"{layer.kind}_{count[layer.kind]}" if count[layer.kind] else layer.kind
        count[layer.kind] += 1
        if name in rest:
            rest.pop(name)
            values = group[name]["vars"]
            names = _VARIABLES[layer.kind] if len(values) == len(_VARIABLES[layer.kind]) else sorted(values)
            yield layer.theirs, {names[int(number)]: values[number][()] for number in values}
    for name in rest:
        yield name, {number: group[name]["vars"][number][()] for number in group[name]["vars"]}


def _as_ours(source: str, layers: Sequence[tuple[str, Values]], epsilon: float) -> Found:
    if len(layers) < len(_LAYERS):
        _refuse(source, f"it has {len(layers)} layers with weights, MobileNetV2 has {len(_LAYERS)}")
    values: Values = {}
    others = []
    for number, (name, weights) in enumerate(layers):
        layer = _LAYERS[number] if number < len(_LAYERS) else None
        if layer is not None and tuple(weights) != _VARIABLES[layer.kind]:
            _refuse(source, f"{name} has {', '.join(weights)} where MobileNetV2's {layer.theirs} is")
        if layer is None or not layer.ours:
            others += [f"{name}/{weight}" for weight in weights]
        else:
            values |= {f"backbone/{layer.ours}/{weight}": value for weight, value in weights.items()}
    _fold_pixels(values)
    _fold_epsilon(values, epsilon)
    return Found(values, tuple(others))


def _refuse(source: str, why: str) -> None:
    raise BadSetting(
        f"training.init: {source}: holds no weights of MobileNetV2: {why}; name a file that "
        f"tf_keras.applications.MobileNetV2(...).save_weights wrote"
    )


def _fold_pixels(values: Values) -> None:
    """conv(p / 127.5 - 1) = conv'((p - mean) / std) + shift, and batch norm subtracts the shift with its mean."""
    kernel: npt.NDArray[np.float64] = values[_FIRST_CONV].astype(np.float64)
    mean = values[f"{_FIRST_NORM}/moving_mean"]
    if kernel.shape[2:] != (3, *mean.shape):
        return  # told as of another shape
    factor, constant = np.array(PIXEL_STD_RGB) / 127.5, np.array(PIXEL_MEAN_RGB) / 127.5 - 1
    shift = (kernel * constant[:, None]).sum(axis=(0, 1, 2))
    values[_FIRST_CONV] = (kernel * factor[:, None]).astype(np.float32)
    values[f"{_FIRST_NORM}/moving_mean"] = (mean - shift).astype(np.float32)


def _fold_epsilon(values: Values, epsilon: float) -> None:
    """Exact at detection; a training sees other means and variances anyway."""
    if epsilon == KERAS_EPSILON:
        return
    for name in [name for name in values if name.endswith("/gamma")]:
        variance = values[name.replace("gamma", "moving_variance")].astype(np.float64)
        ratio = np.sqrt((variance + epsilon) / (variance + KERAS_EPSILON))
        values[name] = (values[name] * ratio).astype(np.float32)


def _last(name: str | bytes) -> str:
    return _text(name).rpartition("/")[2].partition(":")[0]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _pair(conv: str, norm: str, theirs: str, kind: str = "conv2d") -> list[_Layer]:
    return [_Layer(conv, theirs, kind), _Layer(norm, f"{theirs}_BN", "batch_normalization")]


def _block(number: int) -> list[_Layer]:
    theirs = f"block_{number - 1}" if number > 1 else "expanded_conv"
    ours = f"block_{number}"
    expand = _pair(f"{ours}/conv0", f"{ours}/norm0", f"{theirs}_expand") if number > 1 else []
    depthwise = _pair(f"{ours}/conv1", f"{ours}/norm1", f"{theirs}_depthwise", "depthwise_conv2d")
    return [*expand, *depthwise, *_pair(f"{ours}/conv2", f"{ours}/norm2", f"{theirs}_project")]


_LAYERS: tuple[_Layer, ...] = (
    _Layer("block_0/conv0", "Conv1", "conv2d"),
    _Layer("block_0/norm0", "bn_Conv1", "batch_normalization"),
    *(layer for number in range(1, 18) for layer in _block(number)),
    # The last convolution feeds Keras' classifier; our backbone ends before it.
    _Layer("", "Conv_1", "conv2d"),
    _Layer("", "Conv_1_bn", "batch_normalization"),
)
"""In Keras' order."""
