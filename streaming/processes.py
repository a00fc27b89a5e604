"""Processes that another process started: who they are, whether they still run, how to end them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vigie.errors import Unavailable
from vigie.whole import write_whole

GRACE_S = 10.0
SUPERVISOR_FILE = "supervisord.json"
_TICK_S = 0.05
_STATE, _STARTED = 0, 19  # in /proc/PID/stat, counted behind the name, which may hold spaces


@dataclass(frozen=True, slots=True)
class Identity:
    """A process id alone is given again to others; with the time its process started it is not."""

    pid: int
    started: str

    def runs(self) -> bool:
        return identity_of(self.pid) == self


@dataclass(frozen=True, slots=True)
class Marker:
    """What a process writes of itself: who it is and, once it is at its work, that it is ready."""

    identity: Identity
    ready: bool
    address: str = ""


def identity_of(pid: int) -> Identity | None:
    """None where there is no such process, or only what is left of one."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[_STATE] in "ZX" else Identity(pid, fields[_STARTED])
    shown = subprocess.run(  # noqa: S603 - a number is all that is put into it
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607 - macOS keeps it in /bin
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split(maxsplit=1)
    return None if not shown or shown[0].startswith("Z") else Identity(pid, shown[1].strip())


def write_marker(path: Path, *, ready: bool, address: str = "") -> None:
    """Mark this process."""
    identity = identity_of(os.getpid())
    if identity is None:
        raise Unavailable(f"{path}: this system does not tell when process {os.getpid()} started")
    write_whole(path, json.dumps(asdict(Marker(identity, ready, address))))


def read_marker(path: Path) -> Marker | None:
    """None where there is none, or none that was wholly written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Marker(Identity(**content["identity"]), content["ready"], content["address"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def supervisor_of(folder: Path) -> Identity | None:
    """The supervisord that was started from this folder, if it runs."""
    try:
        identity = Identity(**json.loads((folder / SUPERVISOR_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    return identity if identity.runs() else None


def end(identities: Sequence[Identity], *, grace_s: float = GRACE_S) -> list[Identity]:
    """Ask them to end, and kill those that do not within `grace_s`; return those that were running."""
    running = [identity for identity in identities if identity.runs()]
    for kind, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, GRACE_S)):
        for identity in running:
            _signal(identity, kind)
        if gone(running, timeout_s=wait_s):
            return running
    raise Unavailable(f"processes {[one.pid for one in running if one.runs()]} do not end, not even when killed")


def gone(identities: Sequence[Identity], *, timeout_s: float) -> bool:
    """Whether all have ended, at the latest after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while any(identity.runs() for identity in identities):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK_S)
    return True


def _signal(identity: Identity, kind: signal.Signals) -> None:
    if not identity.runs():
        return
    try:
        os.kill(identity.pid, kind)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Unavailable(f"process {identity.pid} belongs to another user; ask them to stop it") from error
