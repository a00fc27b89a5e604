"""The processes of the live side under supervisord: up, down, and what each is doing."""

import fcntl
import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from vigie.errors import Unavailable
from vigie.streaming.processes import (
    SUPERVISOR_FILE,
    Marker,
    end,
    gone,
    identity_of,
    read_marker,
    supervisor_of,
)
from vigie.whole import write_whole

logger = logging.getLogger(__name__)

WORKER, WEB = "worker", "web"
START_S = 1  # a process that ends sooner has failed to start
SUPERVISOR_S = 15.0
READY_S = 60.0
STOP_S = 10
DOWN_S = 45.0
ORPHAN_GRACE_S = 5.0
TOLD_LINES = 8
PLAN_FILE = "plan.json"
ERROR_PREFIX = "vigie: "  # of the line that the command ends with
_SOCKET_PATH_MAX = 100  # bytes; systems allow 103 to 107
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: program -> command, all from the folder `root`; the programs `cameras` begin when the others are
    ready. `facts` are kept for `status`.
    """

    root: Path
    services: Mapping[str, tuple[str, ...]]
    cameras: Mapping[str, tuple[str, ...]]
    facts: Mapping[str, str]

    @property
    def programs(self) -> tuple[str, ...]:
        return (*self.services, *self.cameras)


@dataclass(frozen=True, slots=True)
class Process:
    """`state` is running, starting, finished, failed, stopped or, without its supervisor, orphaned."""

    name: str
    state: str
    pid: int | None
    uptime_s: float
    detail: str = ""


def up(plan: Plan, folder: Path) -> str:
    """Start everything; return the page's address when the worker has its model, the page answers and cameras send.

    Raises:
        Unavailable: it runs already, or one of them did not start; then all are stopped again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if supervisor_of(folder):
            raise Unavailable("a stream runs already; see it with `make stream-status`, end it with `make stop-stream`")
        _clean(folder)
        record = {"programs": list(plan.programs), "facts": dict(plan.facts)}
        write_whole(folder / PLAN_FILE, json.dumps(record))
        try:
            return _start(plan, folder)
        except BaseException:
            _end_all(folder)
            raise


def down(folder: Path) -> bool:
    """End everything, also what a killed supervisor left behind; return False where nothing ran."""
    if not folder.is_dir():
        return False
    with _alone(folder):
        return _end_all(folder)


def processes(folder: Path) -> list[Process]:
    """What each process is doing; empty where no stream was started."""
    if supervisor_of(folder):
        try:
            found = {one["name"]: _process(one) for one in _remote(folder).supervisor.getAllProcessInfo()}
            return [found[name] for name in _programs(folder) if name in found]
        except (OSError, HTTPException, Fault) as error:
            logger.warning("the supervisor does not answer: %s", error)
    return [
        Process(name, "orphaned", marker.identity.pid, 0.0, "its supervisor is gone; `vigie stream stop` ends it")
        for name, marker in _markers(folder).items()
        if marker.identity.runs()
    ]


def facts(folder: Path) -> dict[str, str]:
    """Those of the plan that was started last; empty where none was."""
    return dict(_record(folder).get("facts", {}))


def page_address(folder: Path) -> str | None:
    """The address of the page that runs."""
    marker = _markers(folder).get(WEB)
    return marker.address if marker and marker.ready and marker.identity.runs() else None


def why(folder: Path, name: str) -> str:
    """What a program said last: its error if it named one, otherwise the end of its log."""
    try:
        lines = (folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    named = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    if named:
        return named[-1]
    return (
        "\n".join(["its last lines:", *(f"  {line}" for line in lines[-TOLD_LINES:])]) if lines else "it said nothing"
    )


def _start(plan: Plan, folder: Path) -> str:
    for name in plan.programs:
        (folder / f"{name}.log").unlink(missing_ok=True)
    config = folder / "supervisord.conf"
    write_whole(config, configuration(plan, _socket_for(folder)))
    config.chmod(0o600)  # a camera's address may hold a password
    with (folder / "supervisord.out").open("w") as output:
        supervisord = subprocess.Popen(  # noqa: S603 - this Python, our own configuration
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(config.resolve())],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # it outlives the shell that called us
        )
    identity = identity_of(supervisord.pid)
    if identity is not None:
        write_whole(folder / SUPERVISOR_FILE, json.dumps(asdict(identity)))
    _wait_for_supervisor(supervisord, folder)
    for name in plan.services:
        _wait_until_ready(folder, name)
    page = _wait_for_page(folder)
    for name in plan.cameras:
        _remote(folder).supervisor.startProcess(name, False)
    for name in plan.cameras:
        _wait_until_ready(folder, name)
    return page


def configuration(plan: Plan, socket: Path) -> str:
    """The text of supervisord.conf. Supervisor expands `%`, so each of ours is doubled; names of logs it expands
    twice, so they are relative to the folder that it is started in.
    """
    user = "user=root\n" if os.geteuid() == 0 else ""
    head = f"""\
[unix_http_server]
file={str(socket).replace("%", "%%")}
chmod=0700

[supervisord]
nodaemon=true
silent=true
logfile=supervisord.log
pidfile=supervisord.pid
{user}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    services = [_program(name, command, plan.root, first=True) for name, command in plan.services.items()]
    # Begun by hand when the others are ready, and ended before them.
    cameras = [_program(name, command, plan.root, first=False) for name, command in plan.cameras.items()]
    return "".join([head, *services, *cameras])


def _program(name: str, command: tuple[str, ...], root: Path, *, first: bool) -> str:
    return f"""
[program:{name}]
command={shlex.join(command).replace("%", "%%")}
directory={str(root.resolve()).replace("%", "%%")}
autostart={"true" if first else "false"}
priority={1 if first else 2}
autorestart=unexpected
exitcodes=0
startsecs={START_S}
startretries=1000
stopwaitsecs={STOP_S}
stopsignal=TERM
redirect_stderr=true
stdout_logfile={name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def _wait_for_supervisor(supervisord: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + SUPERVISOR_S
    while time.monotonic() < deadline:
        if supervisord.poll() is not None:
            break
        try:
            _remote(folder).supervisor.getState()
        except (OSError, HTTPException):
            time.sleep(_TICK_S)
        else:
            return
    told = (folder / "supervisord.out").read_text(encoding="utf-8", errors="replace").strip()
    raise Unavailable(f"supervisord did not start: {told or 'it said nothing'}")


def _wait_until_ready(folder: Path, name: str) -> None:
    deadline = time.monotonic() + READY_S
    first: int | None = None
    while time.monotonic() < deadline:
        process = _process(_remote(folder).supervisor.getProcessInfo(name))
        first = first or process.pid
        # Another id: it has failed already, and is being tried again.
        if process.state == "failed" or process.pid not in (None, first):
            raise Unavailable(f"the {name} did not start: {why(folder, name)}")
        marker = _markers(folder).get(name)
        ready = marker is not None and marker.ready and marker.identity.pid == process.pid
        if process.state == "finished" or (process.state == "running" and ready):
            return
        time.sleep(_TICK_S)
    raise Unavailable(f"the {name} was not ready within {READY_S:g} s: {why(folder, name)}")


def _wait_for_page(folder: Path) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + SUPERVISOR_S
    while time.monotonic() < deadline:
        page = page_address(folder)
        if page is None:
            raise Unavailable(f"the page has ended: {why(folder, WEB)}")
        try:
            with opener.open(f"{page.rstrip('/')}/health", timeout=2):
                return page
        except (OSError, HTTPException):
            time.sleep(_TICK_S)
    raise Unavailable(f"the page does not answer: {why(folder, WEB)}")


def _end_all(folder: Path) -> bool:
    supervisor = supervisor_of(folder)
    if supervisor:
        # It stops its children and then itself.
        end([supervisor], grace_s=DOWN_S)
    return _clean(folder) or supervisor is not None


def _clean(folder: Path) -> bool:
    """End children whose supervisor is gone, and forget the marks of all; return whether there were any."""
    left = [marker.identity for marker in _markers(folder).values() if marker.identity.runs()]
    # Without their supervisor they end by themselves; what hangs is ended.
    if left and not gone(left, timeout_s=1.0):
        end(left, grace_s=ORPHAN_GRACE_S)
    for name in _programs(folder):
        marker_of(folder, name).unlink(missing_ok=True)
    (folder / SUPERVISOR_FILE).unlink(missing_ok=True)
    socket = _socket(folder)
    if socket is not None:
        socket.unlink(missing_ok=True)
        if socket.parent != folder.resolve() and socket.parent.is_dir():
            socket.parent.rmdir()
    (folder / "socket").unlink(missing_ok=True)
    return bool(left)


def _process(info: Mapping[str, Any]) -> Process:
    """From one entry of supervisor's getAllProcessInfo."""
    state = str(info["statename"])
    uptime_s = float(info["now"] - info["start"]) if state == "RUNNING" else 0.0
    words = {"RUNNING": "running", "STARTING": "starting", "STOPPED": "stopped", "STOPPING": "stopped"}
    if state == "EXITED":
        finished = info["exitstatus"] == 0
        return Process(info["name"], "finished" if finished else "failed", None, 0.0, str(info["description"]))
    detail = str(info["spawnerr"]) if state in {"BACKOFF", "FATAL"} else ""
    return Process(info["name"], words.get(state, "failed"), int(info["pid"]) or None, max(0.0, uptime_s), detail)


def _remote(folder: Path) -> Any:
    # A new one for each call: a connection that failed once fails for good.
    socket = _socket(folder)
    transport: Any = SupervisorTransport(None, None, serverurl=f"unix://{socket}")
    return ServerProxy("http://127.0.0.1", transport=transport, allow_none=True)


def _socket_for(folder: Path) -> Path:
    """In the folder, or where its path is too long for a socket, in a private one under the system's temporary."""
    socket = folder.resolve() / "supervisor.sock"
    if len(os.fsencode(socket)) > _SOCKET_PATH_MAX:
        socket = Path(tempfile.mkdtemp(prefix="vigie-")) / "supervisor.sock"
    write_whole(folder / "socket", str(socket))
    return socket


def _socket(folder: Path) -> Path | None:
    try:
        return Path((folder / "socket").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def marker_of(folder: Path, name: str) -> Path:
    """What a program of a plan gets as `--marker`."""
    return folder.resolve() / f"{name}.marker"


def _markers(folder: Path) -> dict[str, Marker]:
    found = {name: read_marker(marker_of(folder, name)) for name in _programs(folder)}
    return {name: marker for name, marker in found.items() if marker}


def _programs(folder: Path) -> list[str]:
    return list(_record(folder).get("programs", ()))


def _record(folder: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return record


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One `up` or `down` at a time."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable("another `vigie stream up` or `stop` is at work; wait until it is done") from error
        yield
