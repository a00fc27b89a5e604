"""Every adapter of the message bus, each on a place of its own; a model server for any bundle."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tf_serving_server import TfServing

from vigie import adapters
from vigie.bundle import Bundle
from vigie.ports import Bus


@dataclass
class BusPlace:
    """Where a test's messages live: open it as often as there are processes to play."""

    adapter: str
    options: dict[str, Any]
    opened: list[Bus] = field(default_factory=list)

    def open(self) -> Bus:
        bus: Bus = adapters.build("bus", self.adapter, self.options)
        self.opened.append(bus)
        return bus


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BusPlace]:
    made = _MAKERS[request.param](request, tmp_path)
    yield made
    for bus in made.opened:
        bus.close()


@pytest.fixture
def topic() -> str:
    """A name that no other test uses."""
    return f"test.{uuid.uuid4().hex}"


@pytest.fixture
def group(topic: str) -> str:
    """A consumer group of this test alone: on Kafka, members that a test leaves behind stay for their time-out."""
    return f"readers.of.{topic}"


def _embedded(_: pytest.FixtureRequest, folder: Path) -> BusPlace:
    return BusPlace("embedded", {"path": str(folder / "bus.db"), "session_timeout_s": 1.0})


def _kafka(request: pytest.FixtureRequest, _: Path) -> BusPlace:
    server = request.getfixturevalue("kafka_server")
    return BusPlace("kafka", {"bootstrap_servers": server.address, "max_topic_mb": 64, "session_timeout_s": 2.0})


_MAKERS: dict[str, Callable[[pytest.FixtureRequest, Path], BusPlace]] = {"embedded": _embedded, "kafka": _kafka}


@pytest.fixture(scope="session")
def served() -> Iterator[Callable[[Bundle], str]]:
    """The address of a server that runs the SavedModel of a bundle."""
    running: dict[Path, str] = {}
    with ExitStack() as servers:

        def url_of(bundle: Bundle) -> str:
            if bundle.folder not in running:
                models, name = bundle.folder.parents[1], bundle.folder.parent.name
                running[bundle.folder] = servers.enter_context(TfServing(models, name)).url
            return running[bundle.folder]

        yield url_of
