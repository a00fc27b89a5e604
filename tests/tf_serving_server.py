"""A server that speaks TF Serving's REST protocol and runs the real SavedModel, with its texts, codes and habits.

Like TF Serving it serves the newest version of `BASE/NAME` alone, answers a whole batch with one error, writes NaN into
its JSON, and writes strings as they are. As a program: `python tf_serving_server.py BASE NAME PORT`.
"""

import base64
import json
import re
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

MODEL = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata|:predict)?")
Outputs = dict[str, np.ndarray]


class Refusal(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Fault:
    """What happens to a prediction instead of the answer, or to the answer."""

    status: int = 0
    body: str = '{ "error": "the test has pulled the plug" }'
    reset: bool = False
    cut: bool = False
    delay_s: float = 0.0
    drip_s: float = 0.0
    change: Callable[[Outputs], Outputs] | None = None


@dataclass
class TfServing:
    """`faults` befall the next predictions, one each; `seen` is how many pictures each of them had.

    `run` stands in for the model where a test needs none.
    """

    base: Path
    name: str
    port: int = 0
    run: Callable[[str, Mapping[str, Any]], Outputs] | None = None
    metadata: dict[str, Any] | None = None
    state: str = "AVAILABLE"
    versions: tuple[int, ...] = ()
    faults: deque[Fault] = field(default_factory=deque)
    seen: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.versions:
            self.versions = (max(int(path.parent.name) for path in (self.base / self.name).glob("*/saved_model.pb")),)
        if self.run is None:
            self._load(self.base / self.name / str(self.versions[0]))

    def _load(self, folder: Path) -> None:
        import tensorflow as tf
        from google.protobuf.json_format import MessageToDict
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

        self._model = tf.saved_model.load(str(folder))
        found = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0].signature_def
        self.metadata = {
            name: MessageToDict(one, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            for name, one in found.items()
        }

        def run(signature: str, inputs: Mapping[str, Any]) -> Outputs:
            tensors = {key: tf.constant(value) for key, value in inputs.items()}
            try:
                return {key: one.numpy() for key, one in self._model.signatures[signature](**tensors).items()}
            except tf.errors.InvalidArgumentError as error:
                raise Refusal(400, error.message) from error

        self.run = run

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "TfServing":
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """As if it was killed: open connections break, new ones are refused."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            _reset(connection)
        self._thread.join()

    def __enter__(self) -> "TfServing":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, serving: TfServing) -> None:
        self.serving = serving
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", serving.port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is what tests are made of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answered(lambda: json.dumps(self._told(), indent=1))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.server.serving.faults.popleft() if self.server.serving.faults else Fault()
        time.sleep(fault.delay_s)
        if fault.reset:
            _reset(self.connection)
            self.close_connection = True
        elif fault.status:
            self._send(fault.status, fault.body.encode())
        else:
            self._answered(lambda: self._predicted(body, fault), fault)

    def _answered(self, make: Callable[[], str], fault: Fault = Fault()) -> None:
        self.server.serving.asked.append(self.path)
        try:
            self._send(200, make().encode(), fault)
        except Refusal as error:
            text = str(error).encode("unicode_escape").decode().replace('"', '\\"')
            self._send(error.status, f'{{ "error": "{text}" }}'.encode())

    def _told(self) -> dict[str, Any]:
        serving = self.server.serving
        found = MODEL.fullmatch(self.path)
        if found is None or found[3] == ":predict":
            raise Refusal(400, f"Malformed request: GET {self.path}")
        name, version, what = found.groups()
        if name != serving.name:
            text = f"version {version}" if version else "any versions"
            raise Refusal(404, f"Could not find {text} of model {name}")
        if version and int(version) not in serving.versions:
            raise Refusal(404, f"Could not find version {version} of model {name}")
        if what == "/metadata":
            spec = {"name": name, "signature_name": "", "version": version}
            return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": serving.metadata}}}
        shown = [int(version)] if version else serving.versions
        status = {"error_code": "OK", "error_message": ""}
        return {
            "model_version_status": [{"version": str(one), "state": serving.state, "status": status} for one in shown]
        }

    def _predicted(self, body: bytes, fault: Fault) -> str:
        serving = self.server.serving
        found = MODEL.fullmatch(self.path)
        if found is None or found[3] != ":predict":
            raise Refusal(400, f"Malformed request: POST {self.path}")
        name, version = found[1], found[2]
        if name != serving.name or serving.state != "AVAILABLE" or (version and int(version) not in serving.versions):
            asked = f"Specific({name}, {version})" if version else f"Latest({name})"
            raise Refusal(404, f"Servable not found for request: {asked}")
        request = json.loads(body)
        signature = request.get("signature_name", "serving_default")
        if signature not in (serving.metadata or {}):
            raise Refusal(400, f'Serving signature name: "{signature}" not found in signature def')
        if "inputs" not in request:
            raise Refusal(400, "Missing 'inputs' or 'instances' key")
        inputs = {key: _decoded(value) for key, value in request["inputs"].items()}
        if inputs.keys() != serving.metadata[signature]["inputs"].keys():
            raise Refusal(400, f"JSON object: must only have keys: {','.join(serving.metadata[signature]['inputs'])}")
        serving.seen.append(len(next(iter(inputs.values()))))
        assert serving.run is not None
        outputs = serving.run(signature, inputs)
        if fault.change is not None:
            outputs = fault.change(dict(outputs))
        return json.dumps({"outputs": {key: _plain(one) for key, one in outputs.items()}}, indent=1)

    def _send(self, status: int, content: bytes, fault: Fault = Fault()) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault.drip_s:
            for start in range(len(content)):
                self.wfile.write(content[start : start + 1])
                time.sleep(fault.drip_s)
        elif fault.cut:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            _reset(self.connection)
            self.close_connection = True
        else:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"], validate=True)
    return [_decoded(one) for one in value] if isinstance(value, list) else value


def _plain(array: np.ndarray) -> Any:
    """Numbers with the digits of a float32, strings as they are."""
    if array.dtype.kind == "f":
        return [_plain(one) for one in array] if array.ndim else float(str(array))
    if array.dtype.kind in "OS":
        return [_plain(one) for one in array] if array.ndim > 1 else [one.decode() for one in array]
    return array.tolist()


def _reset(connection: socket.socket) -> None:
    """Closed without a farewell, as by a process that was killed."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    except OSError:
        pass  # gone already


def main(base: str, name: str, port: str) -> None:
    serving = TfServing(Path(base), name, int(port)).start()
    sys.stdout.write(f"{serving.url}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:4])
