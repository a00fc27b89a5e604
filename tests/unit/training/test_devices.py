import json
import subprocess
import sys
from itertools import islice
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from vigie.data.prepare import part_files
from vigie.errors import BadSetting
from vigie.experiment import Augmentation, Balance, Hardware
from vigie.runs import Run
from vigie.training.devices import is_chief, replica_batch, set_precision, strategy_of
from vigie.training.inputs import TrainingInputs
from vigie.training.labelling import Labeller


@pytest.fixture(autouse=True)
def _own_precision():
    yield
    tf_keras.mixed_precision.set_global_policy("float32")


def cluster(*workers: str, index: int = 0) -> str:
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


def test_without_a_gpu_the_processor_trains():
    strategy = strategy_of(Hardware())
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    assert (strategy.num_replicas_in_sync, is_chief(strategy)) == (1, True)
    assert set_precision(Hardware(precision="float32")) == "float32"
    assert tf_keras.mixed_precision.global_policy().name == "float32"


def test_bfloat16_computes_in_less_and_keeps_its_variables():
    assert set_precision(Hardware(precision="mixed_bfloat16")) == "mixed_bfloat16"
    layer = tf_keras.layers.Dense(2)
    assert layer(tf.ones((1, 3))).dtype == tf.bfloat16
    assert layer.kernel.dtype == tf.float32


def test_float16_on_a_processor_is_warned_about(caplog):
    assert set_precision(Hardware(precision="mixed_float16")) == "mixed_float16"
    assert "slow on a processor" in caplog.text


def test_threads_sleep_only_when_told_before_tensorflow_starts() -> None:
    tells = "import tensorflow as tf; from vigie.training.devices import let_threads_sleep as sleep; "
    tells += "from tensorflow.python.eager import context; early = sleep(); tf.constant(1); "
    tells += "print(early, context.context().config.experimental.disable_thread_spinning, sleep())"
    done = subprocess.run([sys.executable, "-c", tells], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["True", "True", "False"]


def test_mirrored_on_a_single_device_is_refused():
    with pytest.raises(BadSetting, match=r"mirrored needs two devices, TensorFlow sees one, .*CPU:0; take auto or one"):
        strategy_of(Hardware(strategy="mirrored"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"needs the environment variable TF_CONFIG, such as \{.cluster"),
        ("", "needs the environment variable TF_CONFIG"),
        ("{", r"TF_CONFIG is \{, which is no cluster"),
        ("{}", r"which is no cluster \(KeyError\('cluster'\)\)"),
        ("[]", "which is no cluster"),
        (cluster("a:1", "b:1", index=2), r"has no worker 2, there are 2: \['a:1', 'b:1'\]"),
        (cluster("a"), "with host:port each"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "there are worker and chief"),
    ],
)
def test_several_workers_need_a_usable_cluster(monkeypatch, text, message):
    if text is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(BadSetting, match=message):
        strategy_of(Hardware(strategy="multi_worker"))


def test_several_workers_have_to_come_first_in_a_process(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", cluster("127.0.0.1:1"))
    tf.constant(1)
    with pytest.raises(BadSetting, match="has to come first in a process"):
        strategy_of(Hardware(strategy="multi_worker"))


def test_a_batch_that_devices_cannot_share_out_evenly_is_refused():
    class OfThree:
        num_replicas_in_sync = 3

    assert replica_batch(9, OfThree()) == 3
    with pytest.raises(BadSetting, match="8 pictures cannot be shared out evenly between 3 devices; take 9"):
        replica_batch(8, OfThree())


def shares(run: Run, *, workers: int, replicas: int, steps: int) -> list[list[Any]]:
    """What each worker reads for so many steps: NumPy batches, one a replica and step."""
    spec = run.experiment
    inputs = TrainingInputs(
        part_files(run.records, "train"), 8, 1, Augmentation(mosaic=0.5), Balance(), [1.0, 1.0, 1.0], "stretch"
    )
    contexts = [tf.distribute.InputContext(workers, worker, workers * replicas) for worker in range(workers)]
    return [
        list(
            islice(
                inputs.batches(
                    Labeller(spec.model, spec.assignment), first_step=2, context=context
                ).as_numpy_iterator(),
                steps * replicas,
            )
        )
        for context in contexts
    ]


def test_all_workers_together_see_the_pictures_of_a_single_one(tiny_run: Run) -> None:
    [alone] = shares(tiny_run, workers=1, replicas=1, steps=2)
    for one, other, whole in zip(*shares(tiny_run, workers=2, replicas=1, steps=2), alone, strict=True):
        assert len(one[0]) == len(other[0]) == 4
        tf.nest.map_structure(lambda a, b: np.testing.assert_array_equal(a[0::2], b), whole, one)
        tf.nest.map_structure(lambda a, b: np.testing.assert_array_equal(a[1::2], b), whole, other)


def test_the_devices_of_a_worker_take_a_batch_in_turns(tiny_run: Run) -> None:
    [alone] = shares(tiny_run, workers=1, replicas=1, steps=1)
    [halves] = shares(tiny_run, workers=1, replicas=2, steps=1)
    both = tf.nest.map_structure(lambda a, b: np.concatenate([a, b]), *halves)
    tf.nest.map_structure(np.testing.assert_array_equal, alone[0], both)
