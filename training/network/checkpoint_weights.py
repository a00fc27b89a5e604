"""A network's variables and a checkpoint's values under names that stay the same from one training to the next.

TensorFlow numbers a pyramid's layers in the order in which they were made, which changes with the levels; so a variable
of pyramid or head is called after its layer, such as `fpn/lateral_3/bias`, one of the backbone after its block, such as
`backbone/block_3/conv0/kernel`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from vigie.errors import BadSetting

Values: TypeAlias = dict[str, npt.NDArray[Any]]
"""By the names that `named_variables` gives."""

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_PARTS = {"_backbone": "backbone", "_decoder": "fpn", "_head": "head"}
_LAYER = "layer_with_weights-"


def named_variables(network: tf_keras.Model) -> dict[str, tf.Variable]:
    """All variables of Model Garden's RetinaNet, by name."""
    view = tf.train.TrackableView(network)
    return {
        _name(path, node.name.partition(":")[0]): node
        for path, node in _walk(network, lambda node: list(view.children(node).items()), id)
        if isinstance(node, tf.Variable)
    }


def checkpoint_values(checkpoint: Path) -> Values:
    """What a checkpoint of a training, ours or Model Garden's, holds for a network; `checkpoint` without its ending.

    Raises:
        BadSetting: it cannot be read, or holds no RetinaNet.
    """
    try:
        reader = tf.train.load_checkpoint(str(checkpoint))
        if not reader.has_tensor(_GRAPH):
            raise BadSetting(
                f"training.init: {checkpoint}: is a checkpoint of TensorFlow 1, which has no network in it"
            )
        graph = TrackableObjectGraph.FromString(reader.get_tensor(_GRAPH))
        values = {name: np.asarray(reader.get_tensor(key)) for name, key in _keys(graph)}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        raise BadSetting(
            f"training.init: {checkpoint}: cannot be read ({str(error).splitlines()[0]}); it may be cut off"
        ) from error
    if not values:
        raise BadSetting(f"training.init: {checkpoint}: holds no RetinaNet but another kind of network")
    return values


def _keys(graph: Any) -> Iterator[tuple[str, str]]:
    def children(number: int) -> list[tuple[str, int]]:
        return [(child.local_name, child.node_id) for child in graph.nodes[number].children]

    # Ours and Model Garden's trainings save the network as `model`; its exports are the network itself.
    root = dict(children(0)).get("model", 0)
    for path, number in _walk(root, children, lambda number: number):
        for value in graph.nodes[number].attributes:
            yield _name(path, value.full_name), value.checkpoint_key


def _walk(
    root: Any, children: Callable[[Any], list[tuple[str, Any]]], key: Callable[[Any], Any]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything below the three parts, with its path, part by part, the nearest first, each once."""
    found = dict(children(root))
    for part in [name for name in _PARTS if name in found]:
        yield from _walk_part(part, found[part], children, key)


def _walk_part(
    part: str, top: Any, children: Callable[[Any], list[tuple[str, Any]]], key: Callable[[Any], Any]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    waiting: deque[tuple[tuple[str, ...], Any]] = deque([((part,), top)])
    seen = {key(top)}
    while waiting:
        path, node = waiting.popleft()
        yield path, node
        for name, child in children(node):
            # Keras also counts layers without weights; those numbers would be a second name for the same.
            if key(child) not in seen and not name.startswith("layer-"):
                seen.add(key(child))
                waiting.append(((*path, name), child))


def _name(path: tuple[str, ...], full_name: str) -> str:
    part = _PARTS[path[0]]
    if part == "backbone":
        return "/".join([part, *(step.replace(_LAYER, "block_").lstrip("_") for step in path[1:])])
    return "/".join([part, *full_name.split("/")[-2:]])
