"""A client of TF Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest.

Everything that is asked may be asked again, for a model changes nothing: what fails on the way is tried again, with
growing pauses, until the time for the whole question is over.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError

from vigie.errors import BadSetting, Unavailable

logger = logging.getLogger(__name__)

AVAILABLE = "AVAILABLE"
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
_PASSING = frozenset({429, 502, 503, 504})  # too busy, a proxy without its server, going up or down, too slow
_MOST_BYTES = 256 << 20
_CHUNK_BYTES = 1 << 16


class Refused(Exception):
    """The server is there and will not do what it is asked; asking again changes nothing."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Passing(Exception):
    """What may be otherwise in a moment."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to connect, to wait for a part of an answer, and for a question with all its tries."""

    connect_s: float = 1.0
    answer_s: float = 5.0
    total_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a signature takes or gives; -1 is a side of any length."""

    kind: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


class ModelServer:
    """One version of one model of a server. `where` names it in errors, without a password."""

    def __init__(self, url: str, name: str, version: int, patience: Patience | None = None) -> None:
        try:
            parsed = urllib3.util.parse_url(url)
        except LocationParseError as error:
            raise BadSetting("the model server's url is none; write http://HOST:PORT") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise BadSetting("the model server's url is none; write http://HOST:PORT")
        self._root = parsed._replace(auth=None).url.rstrip("/")
        self._model = f"/v1/models/{quote(name, safe='')}"
        self._version = f"{self._model}/versions/{version}"
        self._patience = patience or Patience()
        headers = urllib3.make_headers(basic_auth=parsed.auth) if parsed.auth else {}
        self._pool = urllib3.PoolManager(headers=headers, retries=False, maxsize=1)
        self.where = f"{self._root}{self._version}"

    def state(self) -> tuple[str, str]:
        """That of this version, such as `LOADING` or `AVAILABLE`, and what the server says to it.

        Raises:
            Refused: with 404, the server knows no such version.
            Unavailable: it does not answer.
        """
        found = self._ask("GET", self._version).get("model_version_status")
        if not (isinstance(found, list) and found and isinstance(found[0], dict)):
            raise Unavailable(f"{self.where}: what answers there is no TF Serving; see to the url")
        return str(found[0].get("state")), str(found[0].get("status", {}).get("error_message", ""))

    def available_versions(self) -> list[str]:
        """Those of the model that can be asked now; none where the server does not know it.

        Raises:
            Unavailable: it does not answer.
        """
        try:
            found = self._ask("GET", self._model).get("model_version_status", [])
        except Refused:
            return []
        return [str(one["version"]) for one in found if one.get("state") == AVAILABLE]

    def signatures(self) -> dict[str, Signature]:
        """
        Raises:
            Refused, Unavailable: as `state`.
        """
        found = self._ask("GET", f"{self._version}/metadata")
        try:
            signatures = found["metadata"]["signature_def"]["signature_def"]
            return {
                name: Signature(_tensors(one.get("inputs", {})), _tensors(one.get("outputs", {})))
                for name, one in signatures.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable(f"{self.where}/metadata: is none of TF Serving's; see to the url") from error

    def predict(self, signature: str, inputs: Mapping[str, object]) -> dict[str, Any]:
        """The outputs by their names, each as nested lists.

        Raises:
            Refused: the input, or the signature, or the version is not what it can do.
            Unavailable: it does not answer.
        """
        body = json.dumps({"signature_name": signature, "inputs": inputs}).encode()
        outputs = self._ask("POST", f"{self._version}:predict", body).get("outputs")
        if not isinstance(outputs, dict):
            raise Unavailable(f"{self.where}: its answer has no outputs by name; see whether it is TF Serving")
        return outputs

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        begun = time.monotonic()
        deadline = begun + self._patience.total_s
        pause_s = FIRST_PAUSE_S
        tries = 0
        while True:
            tries += 1
            try:
                return self._once(method, path, body, deadline)
            except _Passing as error:
                trouble = str(error)
            if time.monotonic() + pause_s >= deadline:
                raise Unavailable(
                    f"the model server {self._root} cannot be asked: {trouble} (tries: {tries}, in "
                    f"{time.monotonic() - begun:.1f} s); start it, or see to the url"
                )
            logger.debug("the model server %s is asked again in %.1f s: %s", self._root, pause_s, trouble)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _once(self, method: str, path: str, body: bytes | None, deadline: float) -> dict[str, Any]:
        left_s = max(0.01, deadline - time.monotonic())
        limits = urllib3.Timeout(
            connect=min(self._patience.connect_s, left_s), read=min(self._patience.answer_s, left_s)
        )
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = self._pool.request(
                method,
                self._root + path,
                body=body,
                headers={**self._pool.headers, **headers},
                timeout=limits,
                redirect=False,
                preload_content=False,
            )
            try:
                content = _content(answer, deadline)
            except BaseException:
                answer.close()  # a connection in the middle of an answer is of no further use
                raise
            answer.release_conn()
        except (HTTPError, OSError) as error:
            raise _Passing(_plain(error)) from error
        return _judged(answer.status, content)


def _content(answer: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """The limit of a read is one of silence: a server that drips would never reach it."""
    parts, size = [], 0
    while part := answer.read1(_CHUNK_BYTES):
        parts.append(part)
        size += len(part)
        if time.monotonic() > deadline:
            raise _Passing(f"its answer was not whole in time, {size} bytes came")
        if size > _MOST_BYTES:
            raise _Passing(f"its answer is larger than {_MOST_BYTES} bytes")
    return b"".join(parts)


def _judged(status: int, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    text = " ".join(str(error if error is not None else content[:200].decode(errors="replace")).split())
    if status in _PASSING:
        raise _Passing(f"HTTP {status}: {text}")
    if status == 200 and isinstance(found, dict) and error is None:
        return found
    if error is None:  # a proxy or another service
        raise _Passing(f"HTTP {status} and no JSON of TF Serving: {text!r}")
    raise Refused(status, text)


def _tensors(found: Mapping[str, Any]) -> dict[str, Tensor]:
    def shape(one: Mapping[str, Any]) -> tuple[int, ...]:
        return tuple(int(side["size"]) for side in one.get("tensor_shape", {}).get("dim", ()))

    return {name: Tensor(str(one.get("dtype")), shape(one)) for name, one in found.items()}


def _plain(error: BaseException) -> str:
    """Without the object that urllib3 puts before its words."""
    reason = getattr(error, "reason", None)
    text = str(reason if isinstance(reason, BaseException) else error)
    return text.rpartition(">: ")[2] or type(error).__name__
