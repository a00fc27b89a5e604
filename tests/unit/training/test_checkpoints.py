"""A checkpoint is whole or not there, and what was there before stays."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vigie.errors import BadRun, Unavailable

Make = Callable[[Path], Any]


@contextmanager
def no_space_behind(size: int) -> Iterator[None]:
    """No file of this process may grow past so many bytes; writing on fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def state() -> Any:
    import tensorflow as tf

    return tf.Variable(tf.zeros(50_000))


@pytest.fixture
def kept(tmp_path: Path, state: Any) -> Any:
    import tensorflow as tf

    from vigie.training.checkpoints import Checkpoints

    return Checkpoints(tmp_path, tf.train.Checkpoint(state=state))


def test_the_last_three_are_kept_and_the_newest_is_restored(tmp_path: Path, kept: Any, state: Any) -> None:
    import tensorflow as tf

    for step in (0, 10, 20, 100):
        state.assign(tf.fill(50_000, float(step)))
        kept.save(step)
    assert kept.steps() == [10, 20, 100]
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-100")
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {
        "checkpoint",
        "ckpt-10",
        "ckpt-20",
        "ckpt-100",
    }
    state.assign(tf.zeros(50_000))
    assert kept.restore_newest() == 100
    assert float(state[0]) == 100


def test_without_space_the_checkpoint_is_named_and_the_one_before_stays(tmp_path: Path, kept: Any, state: Any) -> None:
    kept.save(1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    state.assign_add(state + 1)
    with (
        no_space_behind(100_000),
        pytest.raises(Unavailable, match=r"ckpt-2: this checkpoint cannot be written: .*large"),
    ):
        kept.save(2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert kept.restore_newest() == 1
    kept.save(2)
    assert kept.steps() == [1, 2]


def test_a_value_that_is_no_number_is_not_kept(tmp_path: Path, kept: Any, state: Any) -> None:
    from vigie.training.checkpoints import NotFinite

    state[7].assign(float("nan"))
    with pytest.raises(NotFinite, match="state"):
        kept.save(1)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, kept: Any, state: Any, caplog: pytest.LogCaptureFixture
) -> None:
    import tensorflow as tf

    for step in (1, 2):
        state.assign(tf.fill(50_000, float(step)))
        kept.save(step)
    (data,) = tmp_path.glob("ckpt-2.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    assert kept.restore_newest() == 1
    assert float(state[0]) == 1
    assert "ckpt-2" in caplog.text
    assert kept.steps() == [1]
    (data,) = tmp_path.glob("ckpt-1.data-*")
    data.write_bytes(b"")
    with pytest.raises(BadRun, match="none of its checkpoints can be read"):
        kept.restore_newest()


def test_what_a_killed_process_left_is_no_checkpoint_and_is_removed(tmp_path: Path, kept: Any) -> None:
    from vigie.training.checkpoints import clear_unfinished

    kept.save(1)
    left = tmp_path / ".saving-abc"
    left.mkdir()
    (left / "ckpt-2.index").write_bytes(b"")
    (tmp_path / "ckpt-2.data-00000-of-00001").write_bytes(b"half")
    assert kept.steps() == [1]
    clear_unfinished(tmp_path)
    assert not left.exists()
    kept.save(2)
    assert kept.restore_newest() == 2


def test_the_best_replaces_the_best_before(tmp_path: Path, state: Any) -> None:
    import tensorflow as tf

    from vigie.training.checkpoints import write_best

    for step in (10, 30):
        write_best(tmp_path, tf.train.Checkpoint(model=state), step)
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-30")
    assert [path.name for path in tmp_path.glob("*.index")] == ["ckpt-30.index"]
