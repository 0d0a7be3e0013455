"""A step's hands: what runs coroutines of the world's session on the run's event loop, and waits for them on Dagster's thread.

Here: the crossing from one thread to the other, and what an interruption of Dagster's thread does to the work.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from anyio.from_thread import BlockingPortal

from generia_assets.durable.tasks.session import WorldSession

ResultT = TypeVar("ResultT")
ArgumentT = TypeVar("ArgumentT")


LONGEST_STOP_SECONDS = 20.0
"""For work that is told to stop. What takes longer is left behind: whatever it still writes is fenced."""


class Worker:
    """A step's hands: runs coroutines of the world's session on the run's event loop and waits for them."""

    def __init__(self, portal: BlockingPortal, opened: Callable[[], Awaitable[WorldSession]]) -> None:
        self._portal = portal
        self._opened = opened
        self.session: WorldSession | None = None

    @property
    def taken(self) -> WorldSession:
        """The session of the world this step has taken."""
        if self.session is None:
            raise RuntimeError("this step has not taken its world yet")
        return self.session

    def run(self, work: Callable[[WorldSession], Awaitable[ResultT]]) -> ResultT:
        """Take the world if this run has not yet, and do this work, watched: it stops when the world is lost.

        An interruption of Dagster's thread cancels the work and waits until it has stopped.
        """
        return self._wait(self._work, work)

    def say(self, word: Callable[[WorldSession], Awaitable[ResultT]]) -> ResultT | None:
        """Record something about the world, if this run holds it.

        A second signal does not cancel this: the caller would otherwise record the end of the world twice.
        """
        return None if self.session is None else self._wait(word, self.session, stop=False)

    async def _work(self, work: Callable[[WorldSession], Awaitable[ResultT]]) -> ResultT:
        self.session = session = await self._opened()
        return await session.work(work(session))

    def _wait(self, function: Callable[[ArgumentT], Awaitable[ResultT]], argument: ArgumentT, *, stop: bool = True) -> ResultT:
        ended = threading.Event()

        async def watched(argument: ArgumentT) -> ResultT:
            try:
                return await function(argument)
            finally:
                ended.set()

        future: Future[ResultT] = self._portal.start_task_soon(watched, argument)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                if stop:
                    future.cancel()  # its result is there at once; the work itself still has to stop
                ended.wait(LONGEST_STOP_SECONDS)
            raise
