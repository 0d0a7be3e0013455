"""What the emulators' HTTP servers share: the process, connections that can be reset, and the endpoints of faults.

Not here: what each server answers (gemini/app.py, platform/app.py).
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Address
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from emulators import lifecycle

_NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of zero: closing sends RST instead of FIN."""


def reset_connection(transport: asyncio.WriteTransport) -> None:
    """Close a connection with RST, so that the other side gets an error."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class Connections:
    """The open TCP connections by the caller's address, so that one can be reset in the middle of a call; uvicorn offers no way."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Transport] = {}

    def reset(self, caller: Address | None) -> None:
        """Reset the caller's connection; nothing if it is closed already."""
        transport = self._open.get((caller.host, caller.port)) if caller else None
        if transport is not None:
            reset_connection(transport)

    def opened(self, transport: asyncio.Transport) -> None:
        """A connection was made."""
        self._open[_address(transport)] = transport

    def closed(self, transport: asyncio.Transport) -> None:
        """A connection has ended."""
        self._open.pop(_address(transport), None)

    def protocol(self) -> type[asyncio.Protocol]:
        """uvicorn's HTTP protocol, which also registers its connections."""
        connections = self

        class TrackedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
            def connection_made(self, transport: asyncio.Transport) -> None:
                self.tracked = transport
                connections.opened(transport)
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                connections.closed(self.tracked)
                super().connection_lost(exc)

        return TrackedProtocol


def _address(transport: asyncio.Transport) -> tuple[str, int]:
    host, port, *_ = transport.get_extra_info("peername")
    return str(host), int(port)


class _AnnouncedServer(uvicorn.Server):
    """A server that announces its address when it is ready."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def serve(
    app: Starlette,
    listener: socket.socket,
    connections: Connections,
    *,
    name: str,
    address: str,
    ready_file: Path | None,
    parent_pid: int | None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the parent is gone. ``on_ready`` is called in the event loop."""
    config = uvicorn.Config(
        app,
        http=connections.protocol(),
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
        backlog=2048,
    )

    def announce() -> None:
        lifecycle.announce(name, address, ready_file)
        on_ready()

    # uvicorn raises the signal again after its shutdown; with nothing to do then, the process ends with exit code 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    lifecycle.end_with_parent(parent_pid)
    _AnnouncedServer(config, announce).run(sockets=[listener])


class HasFaults(Protocol):
    """An emulator whose faults can be changed while it runs."""

    faults: Any


def fault_routes(emulator: HasFaults, model: type[BaseModel]) -> list[Route]:
    """``/emulator/faults``: GET shows them, PUT replaces them, PATCH changes some. 422 for anything that is not a fault of
    ``model``."""

    async def show(_: Request) -> Response:
        return as_json(emulator.faults)

    async def change(http: Request) -> Response:
        try:
            changes = json.loads(await http.body())
            if http.method == "PATCH":
                changes = {**emulator.faults.model_dump(), **changes}
            emulator.faults = model.model_validate(changes)
        except ValidationError as error:
            return Response(error.json(include_url=False), 422, media_type="application/json")
        except (ValueError, TypeError) as error:
            return JSONResponse([{"msg": f"send a JSON object of faults: {error}"}], 422)
        return as_json(emulator.faults)

    return [Route("/emulator/faults", show, methods=["GET"]), Route("/emulator/faults", change, methods=["PUT", "PATCH"])]


def as_json(document: BaseModel) -> Response:
    """The document as a response."""
    return Response(document.model_dump_json(), media_type="application/json")
