"""A client of the page in plain Python: what a browser sees, without one."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from vigie.errors import Unavailable
from vigie.streaming.web.wire import Header, ack, unpack

MESSAGE_MAX_BYTES = 64 * 1024 * 1024
CONNECT_TIMEOUT_S = 10.0


async def watch(url: str, seconds: float | None = None) -> AsyncIterator[tuple[Header, bytes]]:
    """Header and JPEG of each frame for `seconds` (None: until the server ends); `url` is the page's address.

    A frame is acknowledged when the next one is asked for, so a slow caller gets fewer frames, never older ones.

    Raises:
        Unavailable: there is no page at this address, or it ended the connection.
    """
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    connection = await _connected(url)
    try:
        while (message := await _next(connection, deadline)) is not None:
            header, jpeg = unpack(message)
            yield header, jpeg
            await connection.send(ack(header))
    except ConnectionClosed as error:
        raise Unavailable(f"{url}: the page ended the connection: {error}") from error
    finally:
        await connection.close()


async def _connected(url: str) -> ClientConnection:
    parts = urlsplit(url)
    target = parts._replace(scheme="wss" if parts.scheme in ("https", "wss") else "ws", path="/ws").geturl()
    try:
        return await connect(
            target, compression=None, max_size=MESSAGE_MAX_BYTES, open_timeout=CONNECT_TIMEOUT_S, proxy=None
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise Unavailable(f"{url}: no live page answers here: {error}") from error


async def _next(connection: ClientConnection, deadline: float | None) -> bytes | None:
    """None when the time is up."""
    try:
        async with asyncio.timeout_at(deadline):
            return await connection.recv(decode=False)
    except TimeoutError:
        return None
