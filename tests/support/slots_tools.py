"""What the tests of the slots share: callers with a backlog, a gauge of calls in flight, a connection to MongoDB that can be
closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from resources.gateway.concurrency import ConcurrencyLimiter


class Gauge:
    """The number of calls in flight, and its maximum."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


class Callers:
    """This number of callers, each of which requests a slot again as soon as it released one. ``calls`` counts their turns."""

    def __init__(self, slots: ConcurrencyLimiter, number: int, seconds: Callable[[], float], gauge: Gauge) -> None:
        self.calls = 0
        self._gauge = gauge
        self._tasks = [asyncio.create_task(self._call(slots, seconds)) for _ in range(number)]

    async def stop(self) -> None:
        """Cancel them at any point, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, slots: ConcurrencyLimiter, seconds: Callable[[], float]) -> None:
        while True:
            async with slots.slot(0):
                self.calls += 1
                with self._gauge:
                    await asyncio.sleep(seconds())


@asynccontextmanager
async def backlog(
    slots: ConcurrencyLimiter, number: int, *, seconds: float = 0.02, gauge: Gauge | None = None
) -> AsyncIterator[Callers]:
    """Callers that run during the block."""
    callers = Callers(slots, number, lambda: seconds, gauge or Gauge())
    try:
        yield callers
    finally:
        await callers.stop()


class MongoWay:
    """A proxy to MongoDB on its own port; closing it simulates an outage."""

    def __init__(self, uri: str) -> None:
        address = urlsplit(uri)
        self._there = (address.hostname, address.port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = True
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> MongoWay:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        assert self._server is not None
        self._server.close()

    @property
    def uri(self) -> str:
        """The URI of MongoDB through this proxy."""
        assert self._server is not None
        return f"mongodb://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/?directConnection=true"

    def close(self) -> None:
        """Break every connection, and refuse each new one."""
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    def open(self) -> None:
        """Pass all connections again."""
        self._open = True

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection(*self._there)
        self._writers |= {writer, there_writer}
        with suppress(ConnectionError):
            await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))
        for each in (writer, there_writer):
            each.transport.abort()
            self._writers.discard(each)

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()
