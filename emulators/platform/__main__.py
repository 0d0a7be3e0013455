"""``python -m emulators.platform``: start the emulator, announce its addresses, stop on a signal or when the parent ends.

It announces ``HOST:PORT URL``: gRPC, and HTTP (object store, Consul, control).
"""

from __future__ import annotations

import argparse
import socket
import sys

from pydantic import ValidationError

from emulators import lifecycle
from emulators.http_server import Connections, serve
from emulators.platform.app import build_app
from emulators.platform.calls import PlatformEmulator
from emulators.platform.database import DatabaseError
from emulators.platform.faults import PlatformFaults
from emulators.platform.objects import ObjectStore
from emulators.platform.proxy import Proxy


def main() -> None:
    """Run until SIGTERM or SIGINT, and leave with exit code 0."""
    options = _options()
    grpc_listener = socket.create_server((lifecycle.LOOPBACK, options.port))
    http_listener = socket.create_server((lifecycle.LOOPBACK, options.http_port), backlog=2048)
    grpc_port, url = grpc_listener.getsockname()[1], f"http://{lifecycle.LOOPBACK}:{http_listener.getsockname()[1]}"
    connections, proxy = Connections(), Proxy(grpc_listener)
    try:
        start = PlatformFaults(
            seed=options.seed, rates=dict(options.fault), latency=options.latency, url_seconds=options.url_seconds
        )
        emulator = PlatformEmulator(lambda: ObjectStore(url), proxy, start=start, worlds=options.world, any_world=options.any_world)
    except (ValidationError, DatabaseError) as error:
        sys.exit(str(error))
    serve(
        build_app(emulator, connections, proxy, (lifecycle.LOOPBACK, grpc_port)),
        http_listener,
        connections,
        name="platform emulator",
        address=f"{lifecycle.LOOPBACK}:{grpc_port} {url}",
        ready_file=options.ready_file,
        parent_pid=options.parent_pid,
    )


def _fault(text: str) -> tuple[str, float]:
    name, _, rate = text.partition("=")
    try:
        return name, float(rate)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=RATE, such as unavailable=0.2") from None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulators.platform", description="The platform's services on this machine.")
    parser.add_argument("--port", type=int, default=0, help="port of the gRPC services; 0 = a free one")
    parser.add_argument("--http-port", type=int, default=0, help="port of object store, Consul and control; 0 = a free one")
    parser.add_argument("--world", action="append", default=[], metavar="ID", help="a world that the platform has")
    parser.add_argument("--any-world", action="store_true", help="a world exists as soon as it is described")
    parser.add_argument("--seed", type=int, default=0, help="what faults and ids are drawn from")
    parser.add_argument("--fault", action="append", default=[], type=_fault, metavar="NAME=RATE", help="a fault (faults.py)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer")
    parser.add_argument("--url-seconds", type=float, default=600.0, help="seconds for which an upload's URL is good")
    lifecycle.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
