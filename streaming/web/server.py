"""Run the page on a port."""

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn

from vigie.errors import BadSetting, Unavailable
from vigie.ports import Bus
from vigie.streaming.child import stopped_by_signals
from vigie.streaming.messages import Topics
from vigie.streaming.web.app import PageOptions, create_app
from vigie.streaming.web.feed import Feed
from vigie.streaming.web.hub import Hub
from vigie.streaming.web.wire import ACK_MAX_BYTES

log = logging.getLogger(__name__)

DEFAULT_OPTIONS = PageOptions()
SHUTDOWN_TIMEOUT_S = 3
READY_TIMEOUT_S = 15.0
STALLED_CONNECTION_MS = 30_000


def serve(
    bus: Bus,
    topics: Topics,
    *,
    host: str,
    port: int,
    options: PageOptions = DEFAULT_OPTIONS,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then return. Call it from the main thread; `ready` gets the page's address.

    `port` 0 takes a free one.

    Raises:
        Unavailable: the port is taken or may not be used; nothing has been started.
        BadSetting: the host is none of this machine.
        BusUnavailable: the bus does not answer.
    """
    with _listening(host, port) as listener:
        server = _server(bus, topics, host, options)
        with stopped_by_signals(server.stop):
            asyncio.run(_run(server, listener, lambda: ready and ready(address_of(listener))))
    if server.feed.crash is not None:
        raise server.feed.crash


@contextmanager
def serving(
    bus: Bus,
    topics: Topics,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    options: PageOptions = DEFAULT_OPTIONS,
) -> Iterator[str]:
    """The same from a thread, for as long as the block lasts; gives the page's address."""
    with _listening(host, port) as listener:
        server = _server(bus, topics, host, options)
        up = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(_run(server, listener, up.set)), name="page", daemon=True)
        thread.start()
        try:
            if not up.wait(READY_TIMEOUT_S):
                raise Unavailable(f"the page at {address_of(listener)} did not start within {READY_TIMEOUT_S:g} s")
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join()


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    # The address that stands for all of them cannot be opened itself everywhere.
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


class _Server(uvicorn.Server):
    """Ends when its feed has crashed, and leaves signals to its caller."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self.feed = feed

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self.feed.crash is not None

    def stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield  # uvicorn's own would raise the signal again at the end, and a clean stop would count as killed


def _server(bus: Bus, topics: Topics, host: str, options: PageOptions) -> _Server:
    bus.ensure_topics([topics.annotated])
    hub = Hub(viewers_limit=options.viewers_limit)
    feed = Feed(bus, topics.annotated, hub.publish)
    app = create_app(hub, feed, replace(options, allowed_hosts=(host, *options.allowed_hosts)))
    config = uvicorn.Config(
        app,
        ws_per_message_deflate=False,  # JPEG does not shrink: 30 % of a core instead of 2 % for 30 clients
        ws_max_size=ACK_MAX_BYTES,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    return _Server(config, feed)


async def _run(server: _Server, listener: socket.socket, ready: Callable[[], object]) -> None:
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not running.done():
        await asyncio.sleep(0.01)
    if server.started:
        log.info("the page is up at %s", address_of(listener))
        ready()
    await running


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before anything else starts."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, OverflowError) as error:
        raise BadSetting(f"web.host {host!r}, web.port {port}: no address of this machine: {error}") from error
    with socket.socket(family, kind, protocol) as listener:
        # As asyncio does: connections of a server that has just ended do not hold its port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _limit_stalls(listener)
        try:
            listener.bind(address)
            listener.listen()
        except OSError as error:
            raise _refused(host, port, error) from error
        yield listener


def _limit_stalls(listener: socket.socket) -> None:
    """A peer that stops reading is dropped with what is buffered for it; connections inherit this. Linux only."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, option, STALLED_CONNECTION_MS)


def _refused(host: str, port: int, error: OSError) -> Unavailable | BadSetting:
    other = "choose another one with --port, web.port in the settings, or VIGIE_WEB__PORT"
    if error.errno == errno.EADDRINUSE:
        return Unavailable(f"port {port} on {host} is in use; stop what uses it, or {other}")
    if error.errno == errno.EACCES:
        return Unavailable(f"port {port} on {host} is not ours to use; {other}")
    return BadSetting(f"web.host {host!r}: this machine cannot listen there: {error.strerror}")
