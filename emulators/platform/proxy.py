"""The TCP connections of the gRPC server's callers, so that one can be reset: grpc itself offers no way to do that.

A proxy in this process: it passes a caller's bytes to the server and back, unread.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from emulators.http_server import reset_connection
from emulators.lifecycle import LOOPBACK

_CHUNK = 65_536


class Proxy:
    """Callers' connections by the port from which they reach the server."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._callers: dict[str, asyncio.StreamWriter] = {}
        self._target = 0

    async def start(self, target_port: int) -> asyncio.Server:
        """Start to accept connections."""
        self._target = target_port
        return await asyncio.start_server(self._connected, sock=self._listener)

    def reset(self, peer: str) -> None:
        """Reset the caller's connection; ``peer`` is gRPC's name of it, such as ``ipv4:127.0.0.1:40000``."""
        caller = self._callers.get(peer.rpartition(":")[2])
        if caller is not None:
            reset_connection(caller.transport)

    async def _connected(self, reader: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(LOOPBACK, self._target)
        port = str(to_server.get_extra_info("sockname")[1])
        self._callers[port] = caller
        try:
            await asyncio.gather(_pump(reader, to_server), _pump(from_server, caller))
        finally:
            del self._callers[port]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
