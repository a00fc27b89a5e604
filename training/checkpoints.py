"""Checkpoints that are whole or not there: written under another name, read back, then renamed."""

import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from vigie.errors import BadRun, Unavailable
from vigie.whole import write_whole


class NotFinite(Exception):
    """A state with a value that is infinite or no number, named by where it stands: it is not worth keeping."""


logger = logging.getLogger(__name__)


_STATE_FILE = "checkpoint"  # TensorFlow's own, by which `tf.train.latest_checkpoint` knows the newest
_UNFINISHED = ".saving-"
_KEPT = 3
_UNREADABLE = (tf.errors.OpError, AssertionError, ValueError, LookupError)  # TensorFlow has no one error for it


class Checkpoints:
    """The last few `ckpt-<step>` of a folder.

    Where it does not write, as on all workers but one, `save` only takes part in reading variables that are shared.
    """

    def __init__(
        self, folder: Path, checkpoint: tf.train.Checkpoint, *, kept: int = _KEPT, writes: bool = True
    ) -> None:
        self._folder = folder
        self._checkpoint = checkpoint
        self._kept = kept
        self._writes = writes

    def save(self, step: int) -> None:
        """Keep this state as that of a step, unless there is one; older ones than the last few are deleted.

        Raises:
            Unavailable: it cannot be written, for lack of space for one; what was there before is still there.
            NotFinite: nothing is written then.
        """
        if not self._writes:
            with tempfile.TemporaryDirectory() as nowhere:
                write_checkpoint(self._checkpoint, Path(nowhere) / "ckpt")
            return
        if step in self.steps():
            return
        write_checkpoint(self._checkpoint, self._folder / f"ckpt-{step}")
        steps = self.steps()
        _point(self._folder, steps[-self._kept :])
        for old in steps[: -self._kept]:
            _delete(self._folder / f"ckpt-{old}")

    def steps(self) -> list[int]:
        """Of the checkpoints that are there, in order."""
        return checkpoint_steps(self._folder)

    def restore_newest(self) -> int | None:
        """The step of the newest checkpoint that can be read, whose state it is then; None where there is none.

        Raises:
            BadRun: there are some, and none can be read.
        """
        steps = self.steps()
        for step in reversed(steps):
            path = self._folder / f"ckpt-{step}"
            try:
                self._checkpoint.read(str(path)).assert_existing_objects_matched()
            except _UNREADABLE as error:
                logger.warning("checkpoint cannot be read: path=%s reason=%s", path, str(error).splitlines()[0])
                continue
            if step != steps[-1]:
                self._forget_after(step)
            return step
        if steps:
            raise BadRun(f"{self._folder}: none of its checkpoints can be read; delete the folder and train again")
        return None

    def _forget_after(self, step: int) -> None:
        """Damaged ones would pass for those of the same steps that come again."""
        if self._writes:
            _point(self._folder, [kept for kept in self.steps() if kept <= step])
            for damaged in [later for later in self.steps() if later > step]:
                _delete(self._folder / f"ckpt-{damaged}")


def checkpoint_steps(folder: Path) -> list[int]:
    """Of the checkpoints in a folder, in order. One without its index, which is written last, is none."""
    numbers = (path.name.removeprefix("ckpt-").removesuffix(".index") for path in folder.glob("ckpt-*.index"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def write_best(folder: Path, checkpoint: tf.train.Checkpoint, step: int) -> None:
    """Make this state the only checkpoint of a folder; until it is whole the one before stays.

    Raises:
        Unavailable: it cannot be written.
    """
    write_checkpoint(checkpoint, folder / f"ckpt-{step}")
    _point(folder, [step])
    for old in checkpoint_steps(folder):
        if old != step:
            _delete(folder / f"ckpt-{old}")


def write_checkpoint(checkpoint: tf.train.Checkpoint, path: Path) -> None:
    """Write a checkpoint that can be read, or none.

    Raises:
        Unavailable: it cannot be written.
        NotFinite: a value in it is no finite number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=path.parent) as scratch:
            written = Path(checkpoint.write(str(Path(scratch) / path.name)))
            _read_back(written)
            # The index last: without it the rest is no checkpoint.
            for file in sorted(written.parent.iterdir(), key=lambda file: file.suffix == ".index"):
                file.replace(path.parent / file.name)
    except (OSError, *_UNREADABLE) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0].strip()
        raise Unavailable(
            f"{path}: this checkpoint cannot be written: {reason}; the ones before it are whole. Make room, then give "
            f"the same command again: it goes on at the last of them"
        ) from error


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed process left of a checkpoint that it was writing."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def _read_back(path: Path) -> None:
    """Every value is read, which checks its checksum."""
    reader = tf.train.load_checkpoint(str(path))
    for name, kind in reader.get_variable_to_dtype_map().items():
        values = reader.get_tensor(name)
        if kind.is_floating and not np.isfinite(values.astype(np.float32)).all():
            raise NotFinite(name)


def _point(folder: Path, steps: list[int]) -> None:
    lines = [f'model_checkpoint_path: "ckpt-{steps[-1]}"']
    lines += [f'all_model_checkpoint_paths: "ckpt-{step}"' for step in steps]
    try:
        write_whole(folder / _STATE_FILE, "\n".join(lines) + "\n")
    except OSError as error:
        raise Unavailable(
            f"{folder / _STATE_FILE}: cannot be written: {error.strerror}; the checkpoints are whole. Make room, then "
            f"give the same command again: it goes on at the last of them"
        ) from error


def _delete(path: Path) -> None:
    path.with_name(path.name + ".index").unlink(missing_ok=True)
    for file in path.parent.glob(f"{path.name}.data-*"):
        file.unlink()
