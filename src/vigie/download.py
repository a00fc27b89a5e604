"""A file over HTTP that goes on where an interrupted download stood, if the server can."""

import fcntl
import hashlib
import http.client
import json
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from vigie.errors import BadData, BadSetting, Unavailable, VigieError
from vigie.progress import progress as progress_bar
from vigie.whole import write_whole

TIMEOUT_S = 30.0
_CHUNK = 1 << 20
_GO_ON = "the same command goes on where it stood"


def download(
    url: str, path: Path, *, most_bytes: int | None = None, timeout_s: float = TIMEOUT_S, progress: bool = True
) -> str:
    """Fetch `url` into `path` and return its SHA-256; what an interrupted run left at `path` is used if it still fits.

    `timeout_s` holds for the connection and between two bytes. `path` and `path`.json are the caller's to remove.

    Raises:
        BadSetting: no http(s) address.
        BadData: the server says no, sends something else than announced, or more than `most_bytes`.
        Unavailable: no connection, or it broke; or another process downloads to `path`.
    """
    _check(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path) as target:
        known = _known(path, url)
        have = path.stat().st_size if known else 0
        try:
            with _open_from(url, have, known, timeout_s) as response:
                return _receive(response, url, target, path, have, most_bytes, progress=progress)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise _explained(error, url, path, timeout_s) from error


def _open_from(url: str, have: int, known: str | None, timeout_s: float) -> Any:
    try:
        return _open(url, have, known, timeout_s)
    except urllib.error.HTTPError as error:
        # A run was ended after the last byte: nothing is left to ask for.
        if not have or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return _open(url, 0, None, timeout_s)


def _check(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # looked at here: urllib takes a wrong one for a failure of the network
    except ValueError as error:
        raise BadSetting(f"{url}: is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSetting(f"{url}: expected an address that starts with http:// or https:// and names a server")
    if parts.username or parts.password:
        raise BadSetting("the address holds a name or a password, which would be kept; give one without")


@contextmanager
def _alone(path: Path) -> Iterator[IO[bytes]]:
    with path.open("ab") as target:
        try:
            fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"{path}: another process downloads to it; wait for it to end") from error
        yield target


def _known(path: Path, url: str) -> str | None:
    """What tells that the server's file is still the one that `path` holds the start of."""
    try:
        facts = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(facts["validator"]) if facts.get("url") == url and facts.get("validator") else None


def _open(url: str, have: int, known: str | None, timeout_s: float) -> Any:
    opener = urllib.request.OpenerDirector()
    # Put together by hand: the usual one follows redirections to ftp: and reads file: and data:.
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(), urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(), urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    headers = {"User-Agent": "vigie", "Accept-Encoding": "identity"}
    if have and known:
        headers |= {"Range": f"bytes={have}-", "If-Range": known}
    return opener.open(urllib.request.Request(url, headers=headers), timeout=timeout_s)  # noqa: S310  # see _check


def _receive(
    response: Any, url: str, target: IO[bytes], path: Path, have: int, most_bytes: int | None, *, progress: bool
) -> str:
    go_on = response.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(response, have)
    if not go_on:
        have = 0
    target.truncate(have)
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if validator and not validator.startswith("W/"):  # a weak one does not promise the same bytes
        write_whole(path.with_name(f"{path.name}.json"), json.dumps({"url": url, "validator": validator}))
    else:
        path.with_name(f"{path.name}.json").unlink(missing_ok=True)
    length = response.headers.get("Content-Length")
    total = have + int(length) if length is not None and length.isdecimal() else None
    _refuse_more(total or 0, most_bytes, url)
    free = shutil.disk_usage(path.parent).free
    if total is not None and total - have > free:
        raise BadData(f"{url}: has {total} bytes, and the disk of {path.parent} has room for {free}; make room")
    digest = _digest_of(path, have)
    with progress_bar(total=total, initial=have, description="Downloading", unit="B", show=progress) as bar:
        bar.unit_scale = True
        while chunk := response.read(_CHUNK):
            target.write(chunk)
            digest.update(chunk)
            have += len(chunk)
            _refuse_more(have, most_bytes, url)
            bar.update(len(chunk))
    target.flush()
    if total is not None and have != total:
        raise Unavailable(f"{url}: the connection ended after {have} of {total} bytes; {_GO_ON}")
    return str(digest.hexdigest())


def _refuse_more(size: int, most_bytes: int | None, url: str) -> None:
    if most_bytes is not None and size > most_bytes:
        raise BadData(f"{url}: is larger than the {most_bytes} bytes that are expected at most; look at the address")


def _starts_at(response: Any, have: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _digest_of(path: Path, have: int) -> Any:
    digest = hashlib.sha256()
    if have:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest


_MEANINGS = {
    401: "asks for a login; download it by hand and fetch the file",
    403: "refuses it; download it by hand and fetch the file",
    404: "has no such file; look at the address again",
    410: "has it no more; look for another address",
    429: "asks to wait; try again later",
}


def _explained(error: Exception, url: str, path: Path, timeout_s: float) -> VigieError:
    if isinstance(error, urllib.error.HTTPError):
        what = _MEANINGS.get(error.code, "could not send it; try again later")
        return BadData(f"{error.url or url}: the server {what} (HTTP {error.code} {error.reason})")
    if isinstance(error, http.client.InvalidURL):
        return BadSetting(f"{url}: is no address: {error}")
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return Unavailable(f"{url}: nothing came for {timeout_s:g} s; {_GO_ON}")
    if isinstance(error, urllib.error.URLError):
        return Unavailable(f"{url}: cannot be reached ({reason}); look at the address and the network")
    if isinstance(error, ConnectionError | ssl.SSLError | http.client.HTTPException):
        return Unavailable(f"{url}: the connection broke ({error!r}); {_GO_ON}")
    return Unavailable(f"{path}: cannot be written ({error}); {_GO_ON}")
