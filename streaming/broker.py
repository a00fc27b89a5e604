"""A real Apache Kafka on this machine: one node, broker and controller in one process, on loopback.

    <folder>/libs/               its jars (see `jars`)
    <folder>/data/               its log, the messages
    <folder>/server.properties   made anew at each start
    <folder>/logs/               server.log, and broker.out with what Java itself says
    <folder>/broker.lock         locked by the broker for as long as it lives; holds its process id and address

The lock is handed to the Java process at birth and let go by the kernel at its death, however it dies, so a process
id that was given to another process meanwhile is never taken for the broker.
"""

import base64
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vigie.errors import BadSetting, Unavailable
from vigie.loopback import HOST, free_port
from vigie.settings import KAFKA_VARIABLE, BusSettings, KafkaBus, load_settings
from vigie.streaming.buses import KAFKA_MESSAGE_BYTES
from vigie.streaming.jars import java, kafka_jars

log = logging.getLogger(__name__)

HEAP_MB = 512
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_LOG4J = Path(__file__).parent / "kafka" / "log4j2.properties"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that runs; `address` as clients take it."""

    pid: int
    address: str


def needs_local_kafka(bus: BusSettings, adapter: str | None = None) -> bool:
    """Whether the bus is Kafka at its default address: nobody has named a broker."""
    return (adapter or bus.adapter) == "kafka" and bus.kafka.bootstrap_servers == KafkaBus().bootstrap_servers


def start_local() -> str:
    """The broker that the settings name, in the folder of the runs; tells what was done. For the command line."""
    settings = load_settings()
    host, port = _host_and_port(settings.bus.kafka.bootstrap_servers)
    if host not in _LOOPBACK:
        return f"the settings name the broker {settings.bus.kafka.bootstrap_servers}; none is started on this machine"
    folder = settings.runs / "kafka"
    running = broker_running(folder)
    address = start_broker(folder, port=port)
    if running:
        return f"Kafka runs already on {address} (process {running.pid})"
    return f"Kafka runs on {address}; its log: {folder / 'logs' / 'server.log'}"


def stop_local() -> str:
    """End what `start_local` started; tells what was done."""
    return "Kafka has ended" if stop_broker(load_settings().runs / "kafka") else "no Kafka of ours is running"


def start_broker(folder: Path, *, port: int, jars: Path | None = None, heap_mb: int = HEAP_MB) -> str:
    """Start the broker of `folder` unless it runs, wait until it answers, and return its address.

    It outlives the process and the terminal that started it. `jars`: a folder for them that several brokers share.

    Raises:
        Unavailable: no Java or Maven, the port is in use, or the broker ended or did not answer in time.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    running = broker_running(folder)
    if running is not None:
        if running.address != f"{HOST}:{port}":
            raise Unavailable(
                f"{folder}: its broker runs already, on {running.address}; stop it first: make stop-kafka"
            )
        _await_answer(folder, port)
        return running.address
    program = java()
    libs = kafka_jars(jars or folder / "libs")
    with (folder / "broker.lock").open("a+") as lock:
        _take(lock, folder)
        _check_free(port)
        command = [program, *_java_options(folder, libs, heap_mb)]
        _format(folder, command, port)
        _launch([*command, "kafka.Kafka", str(folder / "server.properties")], folder, port, lock)
    log.info("Kafka starts: port=%d log=%s", port, folder / "logs" / "server.log")
    try:
        _await_answer(folder, port)
    except BaseException:
        stop_broker(folder)
        raise
    return f"{HOST}:{port}"


def stop_broker(folder: Path) -> bool:
    """End the broker of `folder` and wait until it is gone; False where none runs."""
    running = broker_running(folder)
    if running is None:
        return False
    for number, patience_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
        try:
            os.kill(running.pid, number)
        except ProcessLookupError:
            return True
        give_up_at = time.monotonic() + patience_s
        while time.monotonic() < give_up_at:
            if broker_running(folder) is None:
                return True
            time.sleep(0.05)
        log.warning("Kafka is still there: pid=%d signal=%s seconds=%g", running.pid, number.name, patience_s)
    raise Unavailable(f"{folder}: its broker, process {running.pid}, does not end")


def broker_running(folder: Path) -> Broker | None:
    """Who holds the lock of `folder`; it may not answer yet."""
    try:
        lock = (folder / "broker.lock").open()
    except OSError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                return Broker(**json.loads(lock.read()))
            except ValueError as error:
                raise Unavailable(f"{folder}: another process is just starting its broker; try again") from error
    return None


def _take(lock: IO[str], folder: Path) -> None:
    for _ in range(10):  # one that asks whether we run holds it for a moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            lock.truncate(0)
            return
    raise Unavailable(f"{folder}: another process is just starting its broker; try again")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise Unavailable(
                f"port {port} on {HOST} is in use; stop what uses it, or choose another one: "
                f"{KAFKA_VARIABLE}={HOST}:{port + 1}, or bus.kafka.bootstrap_servers in the settings"
            ) from error


def _format(folder: Path, java_command: list[str], port: int) -> None:
    """Write the settings and, once, the storage; what was left by a half-done formatting goes."""
    (folder / "logs").mkdir(exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text(_properties(folder, port), encoding="utf-8")
    formatted = folder / "formatted"
    if formatted.exists() and (folder / "data" / "meta.properties").exists():
        return
    shutil.rmtree(folder / "data", ignore_errors=True)
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    arguments = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
    done = subprocess.run([*java_command, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise Unavailable(f"{folder}: Kafka's storage cannot be made: {' '.join((done.stderr or done.stdout).split())}")
    formatted.write_text(cluster)


def _properties(folder: Path, port: int) -> str:
    controller = free_port()
    values = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": folder / "data",
        "auto.create.topics.enable": "false",
        "num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 4,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "message.max.bytes": KAFKA_MESSAGE_BYTES,
        "replica.fetch.max.bytes": KAFKA_MESSAGE_BYTES,
        "log.cleaner.dedupe.buffer.size": 16_777_216,
        "log.retention.check.interval.ms": 30_000,
        # Back 4 to 6 s after a kill in place of 13 to 15: until the old session is over the new one is refused.
        "broker.session.timeout.ms": 2000,
        "broker.heartbeat.interval.ms": 400,
    }
    # A backslash would be an escape in this format.
    return "".join(f"{name}={str(value).replace(chr(92), chr(92) * 2)}\n" for name, value in values.items())


def _java_options(folder: Path, libs: Path, heap_mb: int) -> list[str]:
    return [
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        "-XX:TieredStopAtLevel=1",
        f"-Dvigie.logs={folder / 'logs'}",
        f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}",
        "-cp",
        f"{libs}/*",
    ]


def _launch(command: list[str], folder: Path, port: int, lock: IO[str]) -> None:
    """In a session of its own, as nobody's child: neither a terminal nor its starter takes it along.

    The lock is handed on; the shell writes into it whom it belongs to, so that no moment leaves a broker unnamed.
    """
    launcher = (
        f"""out=$1; shift; "$@" >"$out" 2>&1 & printf '{{"pid": %d, "address": "{HOST}:{port}"}}' $! >broker.lock"""
    )
    subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", launcher, "sh", "logs/broker.out", *command],
        stdin=subprocess.DEVNULL,
        pass_fds=[lock.fileno()],
        start_new_session=True,
        cwd=folder,
        check=True,
    )


def _await_answer(folder: Path, port: int) -> None:
    give_up_at = time.monotonic() + READY_TIMEOUT_S
    while not _answers(port):
        if broker_running(folder) is None:
            raise Unavailable(f"Kafka has ended while starting: {_last_words(folder)}; see {folder / 'logs'}")
        if time.monotonic() > give_up_at:
            raise Unavailable(
                f"Kafka does not answer on {HOST}:{port} after {READY_TIMEOUT_S:g} s; see {folder / 'logs'}"
            )
        time.sleep(0.1)


def _answers(port: int) -> bool:
    """Whether an ApiVersions request (key 18, version 0) is answered without an error, in Kafka's binary protocol."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            reply = connection.makefile("rb").read(10)
    except OSError:
        return False
    return len(reply) == 10 and struct.unpack(">iih", reply)[1:] == (1, 0)


def _last_words(folder: Path) -> str:
    lines: list[str] = []
    for name in ("server.log", "broker.out"):
        path = folder / "logs" / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        lines += [line for line in text.splitlines()[-50:] if "ERROR" in line or "FATAL" in line or "Exception" in line]
    return lines[-1].strip() if lines else "its log says nothing"


def _host_and_port(bootstrap_servers: str) -> tuple[str, int]:
    host, _, port = bootstrap_servers.split(",", maxsplit=1)[0].strip().rpartition(":")
    if not host or not port.isdecimal():
        raise BadSetting(f"bus.kafka.bootstrap_servers {bootstrap_servers!r}: expected host:port")
    return host.strip("[]"), int(port)
