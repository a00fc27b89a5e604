"""Ports for servers of this machine alone."""

import random
import socket

from vigie.errors import Unavailable

HOST = "127.0.0.1"
# Below those that systems give to outgoing connections (Linux from 32768, others from 49152: RFC 6335), so that no
# client has the port before the server that it is for.
_PORTS = range(20_000, 32_768)


def free_port() -> int:
    """A TCP port of loopback that nothing uses.

    Raises:
        Unavailable: none was found.
    """
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise Unavailable(f"no free port on {HOST} between {_PORTS.start} and {_PORTS.stop - 1}")
