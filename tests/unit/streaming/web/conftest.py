from collections.abc import Iterator
from pathlib import Path

import pytest

from vigie.ports import Bus
from vigie.streaming.buses import embedded


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    opened = embedded.build(embedded.Options(tmp_path / "bus.db"))
    yield opened
    opened.close()
