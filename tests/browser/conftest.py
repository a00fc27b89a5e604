from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from playwright.sync_api import Browser, sync_playwright

from vigie.ports import Bus
from vigie.streaming.buses import embedded

CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not for the whole session: Playwright leaves an event loop running, and asyncio.run() refuses beside one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    executable = needs.chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    opened = embedded.build(embedded.Options(tmp_path / "bus.db"))
    yield opened
    opened.close()
