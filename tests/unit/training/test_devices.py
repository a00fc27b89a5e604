import json

import pytest
import tensorflow as tf
import tf_keras

from vigie.errors import BadSetting
from vigie.experiment import Hardware
from vigie.training.devices import is_chief, replica_batch, set_precision, strategy_of


@pytest.fixture(autouse=True)
def _own_precision():
    yield
    tf_keras.mixed_precision.set_global_policy("float32")


def cluster(*workers: str, index: int = 0) -> str:
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


def test_without_a_gpu_the_processor_trains_in_float32():
    strategy = strategy_of(Hardware())
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    assert (strategy.num_replicas_in_sync, is_chief(strategy)) == (1, True)
    assert set_precision(Hardware()) == "float32"
    assert tf_keras.mixed_precision.global_policy().name == "float32"


def test_bfloat16_computes_in_less_and_keeps_its_variables():
    assert set_precision(Hardware(precision="mixed_bfloat16")) == "mixed_bfloat16"
    layer = tf_keras.layers.Dense(2)
    assert layer(tf.ones((1, 3))).dtype == tf.bfloat16
    assert layer.kernel.dtype == tf.float32


def test_float16_on_a_processor_is_warned_about(caplog):
    assert set_precision(Hardware(precision="mixed_float16")) == "mixed_float16"
    assert "slow on a processor" in caplog.text


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
