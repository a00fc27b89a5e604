"""The real Kafka broker that tests share: one a session, on a free port, ended with the session."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import needs
import pytest

from vigie.loopback import free_port
from vigie.streaming.broker import broker_running, start_broker, stop_broker

JARS = needs.ROOT / "runs" / "kafka" / "libs"  # those of `make kafka`, so that they are fetched once
HEAP_MB = 256


@dataclass(frozen=True)
class KafkaServer:
    folder: Path
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        start_broker(self.folder, port=self.port, jars=JARS, heap_mb=HEAP_MB)

    def stop(self) -> None:
        stop_broker(self.folder)

    def kill(self) -> None:
        """As a power cut would: no word of farewell."""
        running = broker_running(self.folder)
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        while broker_running(self.folder) is not None:
            time.sleep(0.02)


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker for all tests of the session. Who kills it starts it again; topics have names of their own."""
    needs.java_and_maven()
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), free_port())
    server.start()
    yield server
    server.stop()
