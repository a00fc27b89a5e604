"""The application: the page, its WebSocket and its health."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, WebSocket
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from vigie.errors import Unavailable
from vigie.streaming.web.access import Guard
from vigie.streaming.web.conversation import ACK_TIMEOUT_S, TRY_AGAIN_LATER, converse
from vigie.streaming.web.feed import Feed
from vigie.streaming.web.hub import VIEWERS_LIMIT, Hub, Seen

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class PageOptions:
    """`allowed_hosts` are further names that the page may be reached by (see `access`)."""

    viewers_limit: int = VIEWERS_LIMIT
    ack_timeout_s: float = ACK_TIMEOUT_S
    allowed_hosts: tuple[str, ...] = ()


class CameraHealth(BaseModel):
    """`age_s` since its last frame arrived here."""

    camera: str
    frames: int
    last_seq: int
    age_s: float


class Health(BaseModel):
    """`status` is "ok" or "bus-unavailable", and `trouble` then says why."""

    status: str
    trouble: str
    clients: int
    received: int
    malformed: int
    cameras: list[CameraHealth]


def create_app(hub: Hub, feed: Feed, options: PageOptions) -> FastAPI:
    """The feed runs for as long as the application does."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        feed.start(asyncio.get_running_loop())
        yield
        await asyncio.to_thread(feed.stop)

    # No documentation pages: theirs load scripts from elsewhere.
    app = FastAPI(title="Vigie", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, allowed_hosts=options.allowed_hosts)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/health")
    async def health() -> Health:
        return _health(hub, feed)

    @app.websocket("/ws")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            viewer = hub.join()
        except Unavailable as error:
            await websocket.close(TRY_AGAIN_LATER, str(error))
            return
        try:
            await converse(websocket, viewer, ack_timeout_s=options.ack_timeout_s)
        finally:
            hub.leave(viewer)

    return app


def _health(hub: Hub, feed: Feed) -> Health:
    now_s = time.monotonic()
    return Health(
        status="bus-unavailable" if feed.trouble else "ok",
        trouble=feed.trouble,
        clients=hub.viewers,
        received=feed.received,
        malformed=feed.malformed,
        cameras=[_camera_health(name, seen, now_s) for name, seen in sorted(hub.cameras.items())],
    )


def _camera_health(name: str, seen: Seen, now_s: float) -> CameraHealth:
    age_s = round(now_s - seen.latest.received_s, 3)
    return CameraHealth(camera=name, frames=seen.frames, last_seq=seen.latest.seq, age_s=age_s)
