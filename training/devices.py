"""What a training runs on: a strategy of tf.distribute and the precision of its arithmetic.

Whatever is chosen, the same pictures make each step: every replica takes its share of the batch. Batch norm takes mean
and variance of a replica's own share, so a share of one or two pictures learns worse.
"""

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow.python.eager import context

from vigie.errors import BadSetting
from vigie.experiment import Hardware
from vigie.machine import multiplies_bfloat16

logger = logging.getLogger(__name__)

BFLOAT16_GRADIENTS = "bfloat16_gradients"
"""A precision: float32 but for the gradients of convolutions; see `vigie.training.processor_gradients`."""

_CLUSTER = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


def let_threads_sleep() -> bool:
    """Let TensorFlow's threads sleep while they have nothing to do; returns whether they will.

    By default they spin, waiting for work: on a few cores that takes 5 to 7 % of the processor's time from the reading
    of pictures. It is decided when TensorFlow starts its devices, so that after that, as often in a notebook, nothing
    changes; nor where there is a GPU.
    """
    started = context.context()
    if started._context_handle is not None or tf.config.list_physical_devices("GPU"):
        return False
    # There is no public name for it; what else was configured stands beside it and stays.
    started._config = started._config or tf.compat.v1.ConfigProto()
    started._config.experimental.disable_thread_spinning = True
    return True


def strategy_of(hardware: Hardware) -> tf.distribute.Strategy:
    """Where the network's variables live and its steps run.

    With `auto` every GPU that TensorFlow sees, else the processor. `multi_worker` waits until all workers are there,
    and has to come before TensorFlow is asked for anything else.

    Raises:
        BadSetting: `mirrored` with a single device, `multi_worker` without a usable TF_CONFIG, or too late.
    """
    if hardware.strategy == "multi_worker":
        return _multi_worker(os.environ)
    devices = _devices()
    if hardware.strategy == "mirrored" and len(devices) == 1:
        raise BadSetting(
            f"hardware.strategy: mirrored needs two devices, TensorFlow sees one, {devices[0]}; take auto or one"
        )
    several_gpus = len(devices) > 1 and ":GPU:" in devices[0]
    if hardware.strategy == "mirrored" or (hardware.strategy == "auto" and several_gpus):
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.OneDeviceStrategy(devices[0])


def set_precision(hardware: Hardware) -> str:
    """Set the arithmetic of the layers that are built from here on; returns its name.

    Variables and losses stay float32. `auto`: mixed_float16 on a GPU, else BFLOAT16_GRADIENTS where the processor
    multiplies bfloat16, else float32.
    """
    gpu = bool(tf.config.list_physical_devices("GPU"))  # logical ones would start TensorFlow's devices
    name: str = hardware.precision
    if name == "auto":
        name = "mixed_float16" if gpu else BFLOAT16_GRADIENTS if multiplies_bfloat16() else "float32"
    if name == "mixed_float16" and not gpu:
        logger.warning("hardware.precision: mixed_float16 is slow on a processor; mixed_bfloat16 saves memory there")
    tf_keras.mixed_precision.set_global_policy("float32" if name == BFLOAT16_GRADIENTS else name)
    return name


def replica_batch(batch: int, strategy: tf.distribute.Strategy) -> int:
    """Each replica's pictures a step.

    Raises:
        BadSetting: the batch cannot be shared out evenly.
    """
    replicas: int = strategy.num_replicas_in_sync
    if batch % replicas:
        above = (batch // replicas + 1) * replicas
        raise BadSetting(
            f"training.batch: {batch} pictures cannot be shared out evenly between {replicas} devices; take {above}"
        )
    return batch // replicas


def share_statistics(network: tf_keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Give batch norm's moving statistics, which are each replica's own, their mean over all replicas.

    Without it workers would validate different networks, and not agree on which is the best or when to stop. All of
    them have to call it.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    with strategy.scope():
        for variable in network.non_trainable_variables:
            if variable.synchronization == tf.VariableSynchronization.ON_READ:
                variable.assign(variable.read_value())


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Of several workers one writes checkpoints and reports; a worker alone is that one."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().jobs:
        return True
    cluster = resolver.cluster_spec()
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in cluster.jobs
    )


def _devices() -> list[str]:
    """All GPUs, else all processors, of which there is one unless it was divided into logical ones."""
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in found]


def _multi_worker(environment: Mapping[str, str]) -> tf.distribute.Strategy:
    _check_cluster(environment.get(_CLUSTER))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise BadSetting(
            f"hardware.strategy: multi_worker has to come first in a process, before TensorFlow computes anything "
            f"({error}); restart the notebook's kernel or use the command line"
        ) from error
    except tf.errors.OpError as error:
        raise BadSetting(
            f"hardware.strategy: multi_worker cannot start this worker: {error.message.splitlines()[0]}; look at its "
            f"address in {_CLUSTER}: {environment[_CLUSTER]:.200}"
        ) from error


def _check_cluster(text: str | None) -> None:
    """TensorFlow itself takes no TF_CONFIG for a worker that is alone, and one that is broken for a KeyError."""
    where = "hardware.strategy: multi_worker"
    if not text:
        raise BadSetting(f"{where} needs the environment variable {_CLUSTER}, such as {_EXAMPLE}")
    try:
        values: Any = json.loads(text)
        jobs: dict[str, list[str]] = values["cluster"]
        kind, index = values["task"]["type"], int(values["task"]["index"])
        addresses = jobs[kind]
        known = {"chief", "worker"} >= set(jobs) and all(":" in one for job in jobs.values() for one in job)
    except (ValueError, KeyError, TypeError) as error:
        raise BadSetting(
            f"{where}: {_CLUSTER} is {text:.200}, which is no cluster ({error!r}); such as {_EXAMPLE}"
        ) from error
    if not known:
        raise BadSetting(f"{where}: {_CLUSTER} has jobs {jobs}; there are worker and chief, with host:port each")
    if not 0 <= index < len(addresses):
        raise BadSetting(f"{where}: {_CLUSTER} has no {kind} {index}, there are {len(addresses)}: {addresses}")
