"""The live page in a real Chromium, fed by a real bus through the real server."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import live_page
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from vigie.domain import Box, Detection
from vigie.loopback import free_port
from vigie.pictures import encode_jpeg
from vigie.ports import Bus
from vigie.streaming.web.server import serving

pytestmark = pytest.mark.browser

NOISE = live_page.noise_jpeg(0)
BLUE, RED = (20, 60, 200), (200, 40, 30)
TWO_AND_ONE = [
    Detection("with_mask", 0.9, Box(0, 0, 9, 9)),
    Detection("without_mask", 0.8, Box(0, 0, 9, 9)),
    Detection("with_mask", 0.7, Box(0, 0, 9, 9)),
]


def plain_picture(colour: tuple[int, int, int]) -> bytes:
    return encode_jpeg(np.full((240, 320, 3), colour, dtype=np.uint8))


PLAIN = {"door": plain_picture(BLUE), "hall": plain_picture(RED)}


def coloured(camera: str, seq: int) -> live_page.Annotated:
    return live_page.annotated(camera, seq, PLAIN[camera], found=TWO_AND_ONE)


def noisy(camera: str, seq: int) -> live_page.Annotated:
    return live_page.annotated(camera, seq, NOISE)


@contextmanager
def opened(chromium: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page of its own browser profile; what the page throws or logs as an error fails the test."""
    context = chromium.new_context(locale=options.pop("locale", "en-US"), **options)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    # A server that is restarted refuses connections for a while; the browser itself writes that down.
    assert [error for error in errors if "ERR_CONNECTION_REFUSED" not in error] == []


def number_in(page: Page, selector: str) -> float:
    found = re.search(r"\d+([.,]\d+)?", page.locator(selector).inner_text().replace("\u202f", ""))
    assert found is not None, f"no number in {selector}"
    return float(found.group().replace(",", "."))


def pixel(page: Page, camera: str) -> list[int]:
    found: list[int] = page.evaluate(
        """camera => {
            const canvas = document.querySelector(`[data-camera="${camera}"] canvas`);
            const middle = [canvas.width / 2, canvas.height / 2];
            return [...canvas.getContext("2d").getImageData(...middle, 1, 1).data].slice(0, 3);
        }""",
        camera,
    )
    return found


def test_each_camera_gets_a_tile_with_its_picture_rate_delay_and_labels(chromium: Browser, bus: Bus) -> None:
    with (
        serving(bus, live_page.TOPICS) as url,
        live_page.cameras(bus, ["hall", "door"], fps=10, picture=coloured),
        opened(chromium, url) as page,
    ):
        expect(page.locator(".tile")).to_have_count(2)
        expect(page.locator(".camera")).to_have_text(["door", "hall"])
        expect(page.locator("#count")).to_have_text("2 cameras")
        expect(page.get_by_role("status")).to_have_text("Live")
        expect(page.locator('[data-camera="door"] .label')).to_have_text(["with mask 2", "without mask 1"])
        page.wait_for_timeout(3500)
        assert 5 < number_in(page, '[data-camera="door"] .rate') < 15
        assert 0 < number_in(page, '[data-camera="door"] .delay') < 2000
        assert page.locator('[data-camera="door"] canvas').evaluate("c => [c.width, c.height]") == [320, 240]
        assert np.allclose(pixel(page, "door"), BLUE, atol=12)
        assert np.allclose(pixel(page, "hall"), RED, atol=12)


def test_a_page_without_cameras_says_what_to_do(chromium: Browser, bus: Bus) -> None:
    with serving(bus, live_page.TOPICS) as url, opened(chromium, url) as page:
        expect(page.get_by_role("heading", name="Waiting for the first picture")).to_be_visible()
        expect(page.locator("code").first).to_have_text("make deploy-stream")
        expect(page.get_by_role("status")).to_have_text("Connected")
        with live_page.cameras(bus, ["door"], fps=5, picture=coloured):
            expect(page.locator(".tile")).to_have_count(1)
        expect(page.locator("#empty")).to_be_hidden()


def test_a_camera_that_falls_silent_is_shown_as_such(chromium: Browser, bus: Bus) -> None:
    with serving(bus, live_page.TOPICS) as url, opened(chromium, url) as page:
        with live_page.cameras(bus, ["door"], fps=5, picture=coloured):
            expect(page.locator('.tile[data-state="live"]')).to_have_count(1)
            expect(page.locator(".notice")).to_be_hidden()
        expect(page.locator(".notice")).to_have_text(re.compile(r"^No picture for \d+ s$"), timeout=8000)
        expect(page.locator(".tile")).to_have_attribute("data-state", "stale")
        with live_page.cameras(bus, ["door"], fps=5, picture=coloured):
            expect(page.locator(".notice")).to_be_hidden()


def test_a_picture_that_cannot_be_read_is_said_and_the_next_one_shown(chromium: Browser, bus: Bus) -> None:
    def broken(camera: str, seq: int) -> live_page.Annotated:
        return live_page.annotated(camera, seq, b"no picture")

    with serving(bus, live_page.TOPICS) as url, opened(chromium, url) as page:
        with live_page.cameras(bus, ["door"], fps=5, picture=broken):
            expect(page.locator(".notice")).to_have_text("This picture cannot be read")
        with live_page.cameras(bus, ["door"], fps=5, picture=coloured):
            expect(page.locator(".notice")).to_be_hidden()
            assert np.allclose(pixel(page, "door"), BLUE, atol=12)


def test_a_french_browser_gets_french_and_a_switch_is_remembered(chromium: Browser, bus: Bus) -> None:
    with (
        serving(bus, live_page.TOPICS) as url,
        live_page.cameras(bus, ["door", "hall"], fps=5, picture=coloured),
        opened(chromium, url, locale="fr-FR") as page,
    ):
        expect(page.locator("#count")).to_have_text("2 caméras")
        expect(page.get_by_role("status")).to_have_text("En direct")
        expect(page.locator("html")).to_have_attribute("lang", "fr")
        expect(page).to_have_title("Vigie · en direct")
        expect(page.locator("dt", has_text="Retard")).to_have_count(2)
        page.get_by_role("button", name="English").click()
        expect(page.locator("#count")).to_have_text("2 cameras")
        page.reload()
        expect(page.locator("#count")).to_have_text("2 cameras")
        expect(page.get_by_role("button", name="English")).to_have_attribute("aria-pressed", "true")


def test_both_languages_say_the_same_things(chromium: Browser, bus: Bus) -> None:
    """Whatever the page names is there in each language: nothing shows as undefined."""
    with serving(bus, live_page.TOPICS) as url:
        for locale in ("en-US", "fr-FR"):
            with opened(chromium, url, locale=locale) as page:
                page.locator("#empty").wait_for()
                said = page.evaluate(
                    """async () => {
                        const { say, age } = await import("/static/words.js");
                        const source = await (await fetch("/static/words.js")).text();
                        const names = [...source.matchAll(/^    (\\w+):/gm)].map((match) => match[1]);
                        const texts = names.filter((name) => name !== "cameraCount").map((name) => say(name));
                        return [...texts, age(5000), age(500000), age(50000000)];
                    }"""
                )
                assert len(said) > 40
                assert all(said)
                assert "undefined" not in page.locator("body").inner_text()


def test_the_page_comes_back_by_itself_when_the_server_does(chromium: Browser, bus: Bus) -> None:
    port = free_port()
    with live_page.cameras(bus, ["door"], fps=10, picture=coloured), contextlib.ExitStack() as stack:
        with serving(bus, live_page.TOPICS, port=port) as url:
            page = stack.enter_context(opened(chromium, url))
            expect(page.get_by_role("status")).to_have_text("Live")
        expect(page.get_by_role("status")).to_have_text("Reconnecting…")
        expect(page.locator(".tile")).to_have_attribute("data-state", "stale", timeout=8000)
        with serving(bus, live_page.TOPICS, port=port):
            expect(page.get_by_role("status")).to_have_text("Live", timeout=15_000)
            expect(page.locator(".tile")).to_have_attribute("data-state", "live")
            expect(page.locator(".tile")).to_have_count(1)


@contextmanager
def thin_line(url: str, *, bytes_per_s: int) -> Iterator[str]:
    """The page's address by way of a slow network: a TCP proxy that passes on so much a second and buffers little."""
    target = urlsplit(url)
    chunk = 8192

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause_s: float) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(chunk):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(pause_s * len(data) / chunk)
        writer.close()

    async def relay(down: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        reader, writer = await asyncio.open_connection(target.hostname, target.port, limit=chunk)
        await asyncio.gather(carry(down, writer, 0), carry(reader, up, chunk / bytes_per_s))

    async def run() -> None:
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await asyncio.get_running_loop().run_in_executor(None, done.wait)
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    ports: list[int] = []
    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(5)
    try:
        yield f"http://127.0.0.1:{ports[0]}/"
    finally:
        done.set()
        thread.join(10)


def test_a_browser_on_a_thin_line_never_slows_another(chromium: Browser, bus: Bus) -> None:
    """10 pictures of 50 KB a second; one browser can take two or three of them."""
    with (
        serving(bus, live_page.TOPICS) as url,
        thin_line(url, bytes_per_s=3 * len(NOISE)) as slow_url,
        live_page.cameras(bus, ["door"], fps=10, picture=noisy),
        opened(chromium, url) as fast,
        opened(chromium, slow_url) as slow,
    ):
        expect(slow.locator(".tile")).to_have_count(1, timeout=10_000)
        fast.wait_for_timeout(6000)
        assert 7 < number_in(fast, ".rate") < 13
        assert number_in(fast, ".delay") < 500
        assert 0.5 < number_in(slow, ".rate") < 5
        # What it shows is at most the two frames in flight old, however long it runs.
        assert number_in(slow, ".delay") < 2000


@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_and_every_text_can_be_read(chromium: Browser, bus: Bus, width: int, scheme: str) -> None:
    names = ["door", "hall"]
    with (
        serving(bus, live_page.TOPICS) as url,
        opened(chromium, url, viewport={"width": width, "height": 800}, color_scheme=scheme, locale="fr-FR") as page,
    ):
        page.locator("#empty").wait_for()
        assert unreadable(page) == []
        with live_page.cameras(bus, names, fps=5, picture=coloured):
            expect(page.locator(".tile")).to_have_count(2)
            expect(page.locator(".label")).to_have_count(4)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert unreadable(page) == []


def unreadable(page: Page) -> list[str]:
    """Texts below WCAG AA's contrast of 4.5 to 1, with the ratio found."""
    found: list[str] = page.evaluate(
        """() => {
            const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const ground = (element) => {
                for (let e = element; e; e = e.parentElement) {
                    const colour = parse(getComputedStyle(e).backgroundColor);
                    if (colour.length === 3 || colour[3] > 0.99) return colour;
                }
                return [255, 255, 255];
            };
            const texts = [...document.body.querySelectorAll("*")].filter((e) => e.checkVisibility()
                && [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim() !== ""));
            return texts.map((e) => {
                const pair = [light(parse(getComputedStyle(e).color)), light(ground(e))];
                return [e.textContent, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)];
            }).filter(([, ratio]) => ratio < 4.5).map(([text, ratio]) => `${text}: ${ratio.toFixed(2)}`);
        }"""
    )
    return found


def test_the_page_can_be_used_by_keyboard_and_read_aloud(chromium: Browser, bus: Bus) -> None:
    with (
        serving(bus, live_page.TOPICS) as url,
        live_page.cameras(bus, ["door"], fps=5, picture=coloured),
        opened(chromium, url) as page,
    ):
        expect(page.locator(".tile")).to_have_count(1)
        reached = []
        for _ in range(3):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
        assert reached == ["English", "Français", "Show door on the full screen"]
        expect(page.get_by_role("img", name="Live picture of door")).to_be_visible()
        expect(page.get_by_role("list", name="Seen by door")).to_be_visible()
        levels = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3')].filter(h => h.checkVisibility()).map(h => h.tagName)"
        )
        assert levels == ["H1", "H2", "H3"]
        page.keyboard.press("Enter")
        expect(page.locator(".screen:fullscreen")).to_have_count(1)
