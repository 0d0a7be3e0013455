"""Ports of the loopback interface: one that nobody else is given, and whether somebody listens at one."""

from __future__ import annotations

import socket
import sys

LOOPBACK = "127.0.0.1"
_held: list[socket.socket] = []


def free_port() -> int:
    """Give a free TCP port, kept from everybody else on this machine for as long as this process lives.

    On Linux the port stays bound here, without listening: nobody who asks for any free port gets it, and a server that is told its
    number can listen there, again and again, if it sets SO_REUSEADDR, as all that are started here do. Elsewhere somebody may take
    it before the server does.
    """
    probe = socket.socket()
    probe.bind((LOOPBACK, 0))
    port: int = probe.getsockname()[1]
    if sys.platform == "linux":
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _held.append(probe)
    else:
        probe.close()
    return port


def accepts_connections(port: int) -> bool:
    """Say whether somebody listens at this port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0
