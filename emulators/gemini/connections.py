"""The open TCP connections, so that one can be reset in the middle of a call. uvicorn itself offers no way to do that."""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.datastructures import Address
from uvicorn.protocols.http.auto import AutoHTTPProtocol

_NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of zero: closing sends RST instead of FIN."""


class Connections:
    """Connections by the caller's address."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], asyncio.Transport] = {}

    def reset(self, caller: Address | None) -> None:
        """Reset the caller's connection; nothing if it is closed already."""
        transport = self._open.get((caller.host, caller.port)) if caller else None
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()

    def opened(self, transport: asyncio.Transport) -> None:
        """A connection was made."""
        self._open[_address(transport)] = transport

    def closed(self, transport: asyncio.Transport) -> None:
        """A connection is over."""
        self._open.pop(_address(transport), None)

    def protocol(self) -> type[asyncio.Protocol]:
        """uvicorn's HTTP protocol, which also tells of its connections."""
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
