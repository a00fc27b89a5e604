"""One browser's WebSocket from its first frame to its end."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from vigie.errors import BadMessage
from vigie.streaming.web.viewer import Viewer
from vigie.streaming.web.wire import ack_of, pack

log = logging.getLogger(__name__)

ACK_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 2.0
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013


@dataclass(frozen=True, slots=True)
class Farewell:
    """Why the server ends a conversation: a WebSocket close code and a word for the log of the browser."""

    code: int
    reason: str


async def converse(websocket: WebSocket, viewer: Viewer, *, ack_timeout_s: float = ACK_TIMEOUT_S) -> None:
    """Send what the viewer is owed until the browser leaves, breaks the rules or falls silent."""
    farewell = await _first(
        _send(websocket, viewer), _receive(websocket, viewer), _watch_silence(viewer, ack_timeout_s)
    )
    if farewell is None:
        return
    log.info("closing a browser: %s code=%d", farewell.reason, farewell.code)
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await websocket.close(farewell.code, farewell.reason)
    except (TimeoutError, WebSocketDisconnect):
        log.info("the browser did not take its close message; the connection is dropped")


async def _first(*sides: Coroutine[Any, Any, Farewell | None]) -> Farewell | None:
    """Run all until one ends; its result counts, the others are cancelled."""
    tasks = [asyncio.create_task(side) for side in sides]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    try:
        return next(iter(done)).result()
    except WebSocketDisconnect:
        return None


async def _send(websocket: WebSocket, viewer: Viewer) -> Farewell | None:
    while True:
        frame = await viewer.take()
        await websocket.send_bytes(pack(frame, now=datetime.now(UTC), now_s=time.monotonic()))


async def _receive(websocket: WebSocket, viewer: Viewer) -> Farewell | None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        try:
            text = message.get("text")
            if text is None:
                raise BadMessage("an acknowledgement is text")
            viewer.acknowledge(*ack_of(text))
        except BadMessage as error:
            return Farewell(POLICY_VIOLATION, str(error))


async def _watch_silence(viewer: Viewer, ack_timeout_s: float) -> Farewell | None:
    loop = asyncio.get_running_loop()
    while (silent_s := viewer.silent_s(loop.time())) < ack_timeout_s:
        await asyncio.sleep(max(ack_timeout_s - silent_s, 0.05))
    return Farewell(POLICY_VIOLATION, f"no acknowledgement for {ack_timeout_s:g} s")
