"""Is this container's server up? ``health.py {tcp|http|grpc} ADDRESS``, or ``health.py heartbeat FILE`` for a worker.

It ends with 0 if so, else with 1 and a line that says why.
Here: the containers' health checks. They run every few seconds for ever, so nothing of Dagster is imported: its own gRPC
check costs a second of CPU each time, this one a tenth. Not here: the daemon, whose own ``liveness-check`` reads its heartbeats.
"""

from __future__ import annotations

import socket
import sys
import time
import urllib.request
from pathlib import Path

TIMEOUT_S = 5.0
HEARTBEAT_S = 30.0


def check_tcp(address: str) -> None:
    """Connect to ``host:port``. Raises ``OSError`` if nobody listens."""
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), TIMEOUT_S).close()


def check_http(address: str) -> None:
    """Get an ``http://`` address. Raises ``OSError`` if there is no answer, or another one than success."""
    if not address.startswith("http://"):
        raise ValueError(f"not an http:// address: {address}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the container has for the outside
    direct.open(address, timeout=TIMEOUT_S).close()


def check_grpc(address: str) -> None:
    """Ask the code server at ``host:port`` whether it starts runs. Raises ``ConnectionError`` if it does not, or is stuck."""
    from generia_assets.code_server import ask

    ask(address, timeout=TIMEOUT_S)


def check_heartbeat(path: str) -> None:
    """Look at the file that a worker touches while it is connected to the broker. Raises ``OSError`` if it is absent or old."""
    age = time.time() - Path(path).stat().st_mtime
    if age > HEARTBEAT_S:
        raise TimeoutError(f"the worker was last connected to its broker {age:.0f} s ago")


CHECKS = {"tcp": check_tcp, "http": check_http, "grpc": check_grpc, "heartbeat": check_heartbeat}


def main(arguments: list[str]) -> int:
    """Run one check and return the exit code."""
    if len(arguments) != 2 or arguments[0] not in CHECKS:
        sys.stderr.write(f"usage: health.py {{{'|'.join(CHECKS)}}} ADDRESS\n")
        return 2
    try:
        CHECKS[arguments[0]](arguments[1])
    except OSError as error:
        sys.stderr.write(f"{arguments[1]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
