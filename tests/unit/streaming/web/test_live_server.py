"""The page's server on a real port, fed by a real bus, watched by real WebSocket clients."""

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import live_page
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from vigie.errors import BadSetting, BusUnavailable, Unavailable
from vigie.ports import Bus, Consumer, Message
from vigie.streaming.web.app import PageOptions
from vigie.streaming.web.client import watch
from vigie.streaming.web.server import serve, serving
from vigie.streaming.web.wire import Header, ack, unpack

JPEG = live_page.noise_jpeg(0)
BIG = live_page.noise_jpeg(1, width=640, height=360)


def picture(camera: str, seq: int) -> live_page.Annotated:
    return live_page.annotated(camera, seq, JPEG)


def big_picture(camera: str, seq: int) -> live_page.Annotated:
    return live_page.annotated(camera, seq, BIG, size=(640, 360))


@asynccontextmanager
async def browser(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    target = url.replace("http", "ws") + "ws"
    async with connect(target, compression=None, max_size=None, proxy=None, **options) as socket_:
        yield socket_


async def received(socket_: ClientConnection, within_s: float = 5.0) -> Header:
    async with asyncio.timeout(within_s):
        return unpack(await socket_.recv(decode=False))[0]


async def until_closed(socket_: ClientConnection) -> tuple[list[Header], int, str]:
    """What came before the server closed the connection, its code and its reason."""
    headers = []
    try:
        while True:
            headers.append(await received(socket_))
    except ConnectionClosed as end:
        return headers, end.rcvd.code if end.rcvd else 0, end.rcvd.reason if end.rcvd else ""


async def nothing_comes(socket_: ClientConnection, for_s: float = 0.4) -> None:
    with pytest.raises(TimeoutError):
        await received(socket_, for_s)


def health(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}health", timeout=5) as answer:
        report: dict[str, Any] = json.load(answer)
    return report


def wait_until(true: Callable[[], bool], within_s: float = 5.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def published(bus: Bus, url: str, seq: int, camera: str = "door") -> live_page.Annotated:
    """Send one picture and return when the page has it."""
    before = health(url)["received"]
    frame = live_page.annotated(camera, seq, JPEG)
    live_page.publish(bus, frame)
    wait_until(lambda: health(url)["received"] > before)
    return frame


def wait_for_feed(bus: Bus, url: str) -> None:
    """The tail starts at the end of the topic, a moment after the page answers: send until something arrives."""
    with live_page.cameras(bus, ["warm-up"], fps=20, picture=picture):
        wait_until(lambda: health(url)["received"] > 0)


def test_a_client_sees_the_frames_of_two_cameras_with_labels_and_delay(bus: Bus) -> None:
    async def story(url: str) -> list[tuple[Header, bytes]]:
        return [pair async for pair in watch(url, 2)]

    with serving(bus, live_page.TOPICS) as url, live_page.cameras(bus, ["a", "b"], fps=10, picture=picture):
        frames = asyncio.run(story(url))
    headers = [header for header, _ in frames]
    assert {header["camera"] for header in headers} == {"a", "b"}
    assert all(jpeg == JPEG for _, jpeg in frames)
    assert headers[0]["detections"] == [{"label": "with_mask", "score": 0.9, "box": [10, 20, 60, 80]}]
    assert all(0 <= header["delay_ms"] < 3000 for header in headers)
    for camera in ("a", "b"):
        seqs = [header["seq"] for header in headers if header["camera"] == camera]
        assert seqs == sorted(set(seqs))
        assert len(seqs) >= 10


def test_a_client_that_never_acknowledges_gets_two_frames_a_camera_and_is_closed(bus: Bus) -> None:
    async def story(url: str) -> tuple[list[Header], int, str]:
        async with browser(url) as silent:
            return await until_closed(silent)

    options = PageOptions(ack_timeout_s=1)
    with (
        serving(bus, live_page.TOPICS, options=options) as url,
        live_page.cameras(bus, ["a", "b"], fps=10, picture=picture),
    ):
        headers, code, reason = asyncio.run(story(url))
    assert sorted(header["camera"] for header in headers) == ["a", "a", "b", "b"]
    assert (code, reason) == (1008, "no acknowledgement for 1 s")


def test_the_newest_frame_wins_over_those_that_waited(bus: Bus) -> None:
    async def story(url: str) -> None:
        async with browser(url) as slow:
            await slow.send(ack(await received(slow)))  # of the camera that warmed up
            for seq in range(8):
                await asyncio.to_thread(published, bus, url, seq)
            first, second = await received(slow), await received(slow)
            assert (first["seq"], second["seq"]) == (0, 1)
            await nothing_comes(slow)
            await slow.send(ack(first))
            assert (await received(slow))["seq"] == 7
            await nothing_comes(slow)

    with serving(bus, live_page.TOPICS) as url:
        wait_for_feed(bus, url)
        asyncio.run(story(url))


def test_a_new_client_sees_the_last_picture_and_how_old_it_is(bus: Bus) -> None:
    async def story(url: str) -> Header:
        async with browser(url) as late:
            return await received(late)

    with serving(bus, live_page.TOPICS) as url:
        wait_for_feed(bus, url)
        time.sleep(0.5)
        assert 400 < asyncio.run(story(url))["age_ms"] < 5000


def test_a_client_that_reads_nothing_never_slows_another(bus: Bus) -> None:
    async def story(url: str) -> list[float]:
        async with browser(url, max_queue=1) as stuck:
            # Its own TCP window and the server's buffers fill up; nothing is read or acknowledged any more.
            stuck.transport.pause_reading()
            return [header["delay_ms"] async for header, _ in watch(url, 3)]

    with serving(bus, live_page.TOPICS) as url, live_page.cameras(bus, ["a"], fps=10, picture=big_picture):
        delays_ms = asyncio.run(story(url))
        report = health(url)
    assert len(delays_ms) >= 15
    assert statistics.quantiles(delays_ms, n=20)[-1] < 500
    assert report["cameras"][0]["frames"] >= 15


@pytest.mark.parametrize(
    "garbage",
    ["nonsense", b"\x00\x01", '{"ack": "no such frame", "camera": "a"}', '{"ack": 1}', "x" * 5000],
    ids=["no JSON", "binary", "not in flight", "no texts", "too long"],
)
def test_garbage_closes_the_one_who_sends_it(bus: Bus, garbage: str | bytes) -> None:
    async def story(url: str) -> int:
        async with browser(url) as good, browser(url) as bad:
            await received(good)
            await bad.send(garbage)
            _, code, _ = await until_closed(bad)
            header = await received(good)
            await good.send(ack(header))
            assert (await received(good))["seq"] > header["seq"]
            return code

    with serving(bus, live_page.TOPICS) as url, live_page.cameras(bus, ["a"], fps=10, picture=picture):
        assert asyncio.run(story(url)) in (1008, 1009)
        wait_until(lambda: health(url)["clients"] == 0)


def test_another_site_is_refused_and_the_page_itself_is_not(bus: Bus) -> None:
    async def opened(url: str, origin: str) -> int:
        try:
            async with browser(url, origin=origin):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    with serving(bus, live_page.TOPICS) as url:
        assert asyncio.run(opened(url, url.rstrip("/"))) == 101
        assert asyncio.run(opened(url, "http://evil.example")) == 403


def test_a_foreign_name_for_this_machine_is_refused(bus: Bus) -> None:
    with serving(bus, live_page.TOPICS, options=PageOptions(allowed_hosts=("cameras.example",))) as url:
        assert answer_to(url, "evil.example")[0] == 403
        assert "web.allowed_hosts" in answer_to(url, "evil.example")[1]
        assert answer_to(url, "cameras.example")[0] == 200


def answer_to(url: str, host: str) -> tuple[int, str]:
    """Status and body of the page when it is asked for under another name."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_page_carries_a_policy_that_lets_no_foreign_script_in(bus: Bus) -> None:
    with serving(bus, live_page.TOPICS) as url, urllib.request.urlopen(url, timeout=5) as answer:
        policy = answer.headers["content-security-policy"]
        body = answer.read().decode()
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http://" not in body
    assert "https://" not in body


def test_health_tells_cameras_clients_and_what_was_malformed(bus: Bus) -> None:
    with serving(bus, live_page.TOPICS) as url:
        wait_for_feed(bus, url)
        bus.send(Message(live_page.TOPICS.annotated, "door", b"no picture", {"ce_type": "nonsense"}))
        published(bus, url, 5)
        report = health(url)
    door, warm_up = report["cameras"]
    assert (report["status"], report["trouble"], report["clients"], report["malformed"]) == ("ok", "", 0, 1)
    assert (door["camera"], door["frames"], door["last_seq"], warm_up["camera"]) == ("door", 1, 5, "warm-up")
    assert 0 <= door["age_s"] < 5


def test_one_browser_too_many_is_told_to_come_again(bus: Bus) -> None:
    async def story(url: str) -> None:
        async with browser(url) as first, browser(url) as second:
            assert await until_closed(second) == (
                [],
                1013,
                "as many browsers as allowed (1) are watching already; close one",
            )
            await first.ping()

    with serving(bus, live_page.TOPICS, options=PageOptions(viewers_limit=1)) as url:
        asyncio.run(story(url))


class OutageBus:
    """Passes everything on to a real bus; while `away`, reading fails as it does without a broker."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.away = False

    def ensure_topics(self, topics: list[str]) -> None:
        self._bus.ensure_topics(topics)

    def tail(self, topics: list[str]) -> Consumer:
        if self.away:
            raise BusUnavailable("the bus at nowhere:1 does not answer")
        inner = self._bus.tail(topics)
        poll = inner.poll

        def failing_poll(timeout_s: float, max_records: int) -> Any:
            if self.away:
                raise BusUnavailable("the bus at nowhere:1 does not answer")
            return poll(timeout_s, max_records)

        inner.poll = failing_poll  # type: ignore[method-assign]
        return inner


def test_the_page_outlives_an_outage_of_the_bus_and_says_so(bus: Bus) -> None:
    outage: Any = OutageBus(bus)
    with serving(outage, live_page.TOPICS) as url, live_page.cameras(bus, ["a"], fps=10, picture=picture):
        wait_until(lambda: health(url)["received"] > 0)
        outage.away = True
        wait_until(lambda: health(url)["status"] == "bus-unavailable")
        assert health(url)["trouble"] == "the bus at nowhere:1 does not answer"
        outage.away = False
        wait_until(lambda: health(url)["status"] == "ok")
        before = health(url)["received"]
        wait_until(lambda: health(url)["received"] > before)


def test_a_port_in_use_is_one_clear_line_before_anything_starts(bus: Bus) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"port {port} on 127\.0\.0\.1 is in use.*--port.*VIGIE_WEB__PORT"):
            serve(bus, live_page.TOPICS, host="127.0.0.1", port=port)


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_a_host_that_is_none_of_this_machine_is_a_bad_setting(bus: Bus, host: str) -> None:
    with pytest.raises(BadSetting, match=r"web\.host"):
        serve(bus, live_page.TOPICS, host=host, port=0)


def test_the_client_names_the_address_where_no_page_answers() -> None:
    async def story() -> None:
        async for _ in watch("http://127.0.0.1:1/", 1):
            pass

    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1/: no live page answers here"):
        asyncio.run(story())


SERVE = """
import sys
from pathlib import Path
from vigie.streaming.buses import embedded
from vigie.streaming.messages import Topics
from vigie.streaming.web.server import serve
bus = embedded.build(embedded.Options(Path(sys.argv[1])))
serve(bus, Topics("test."), host="127.0.0.1", port=0, ready=lambda url: print(url, flush=True))
bus.close()
print("closed", flush=True)
"""


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly_while_a_browser_watches(tmp_path: Path, kind: signal.Signals) -> None:
    async def story(url: str) -> int:
        async with browser(url) as watching:
            os.kill(process.pid, kind)
            return (await until_closed(watching))[1]

    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path / "bus.db")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert asyncio.run(story(process.stdout.readline().strip())) == 1012
        assert process.stdout.read().strip() == "closed"
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
