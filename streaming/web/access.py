"""Who may talk to the page: nobody from another site.

The page has no password. It listens on loopback by default, and a browser lets any site open a WebSocket to
loopback; so two checks stand in the way, and both are needed:

- the `Host` header is an IP address, `localhost`, the address it was told to listen on or one of `allowed_hosts`:
  a name of somebody else that resolves to this machine (DNS rebinding) is refused;
- a WebSocket's `Origin` is the very `Host` it was sent to. A client that sends no `Origin` is no browser and may in.
"""

import ipaddress
import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # ask each time, by ETag: a page of yesterday never meets a server of today
}


def host_allowed(host: str | None, allowed_hosts: Iterable[str]) -> bool:
    """Whether a `Host` header names this machine in a way that no foreign DNS entry can."""
    name = _name_and_port(f"http://{host}")[0] if host else None
    if name is None:
        return False
    if name == "localhost" or name in {allowed.lower() for allowed in allowed_hosts}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a WebSocket's `Origin` is the site that it was opened on; none at all is not a browser's."""
    if origin is None:
        return True
    scheme = origin.partition(":")[0]
    ours = _name_and_port(f"{scheme}://{host}") if host else (None, None)
    return ours[0] is not None and ours == _name_and_port(origin)


def _name_and_port(url: str) -> tuple[str | None, int | None]:
    """Lower-case name and port of an http or https address; (None, None) for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None, None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return None, None
    return parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


class Guard:
    """ASGI middleware: both checks, and the headers that every answer carries."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed_hosts = frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["type"], headers.get("host"), headers.get("origin"))
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
            return
        log.warning("refused: %s", refusal)
        if scope["type"] == "http":
            await PlainTextResponse(refusal, status_code=403)(scope, receive, _with_headers(send))
            return
        await receive()  # the connection request, before it may be answered
        await send({"type": "websocket.close", "code": 1008})  # not accepted yet: HTTP 403 on the wire

    def _refusal(self, kind: str, host: str | None, origin: str | None) -> str | None:
        if not host_allowed(host, self._allowed_hosts):
            return f"the host {host!r} is not one of this page; add it to web.allowed_hosts if it is yours"
        if kind == "websocket" and not same_origin(origin, host):
            return f"the page at {origin!r} may not watch the cameras of {host!r}"
        return None


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_PAGE_HEADERS)
        await send(message)

    return send_with_headers
