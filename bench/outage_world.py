"""A world that is made in this process while a harness makes a service unavailable, and its status record meanwhile.

Not here: which service is unavailable (outages.py), and what exact means (exact.py).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

from pymongo.errors import PyMongoError

from bench.exact import exactness
from bench.in_process import Made, Order, make
from bench.stack import PROMPT, TestStack, status_of, wait_for
from generia_assets.durable.collections import TASKS
from generia_assets.durable.status import WorldStatus
from generia_assets.queries.in_flight import breakers_not_closed
from resources.gateway.breaker import BreakerState
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDatabase

START_SECONDS = 300.0
SAMPLE_SECONDS = 0.02


@dataclass
class Seen:
    """What was observed during an outage."""

    waited_for: dict[str, datetime] = field(default_factory=dict)
    """What the world said it waits for, with the moment since when."""
    breaker: set[str] = field(default_factory=set)
    """States of the breaker of the language model, by the board."""
    probes: int = 0
    """The most calls in flight at once, after the breaker opened and the calls sent before had ended."""


class World:
    """A world, and the run that makes it in a thread of this process."""

    def __init__(self, stack: TestStack, database: MongoDatabase, world_id: str, *, users: int, posts: int) -> None:
        self.order = Order(world_id, users, posts, PROMPT)
        self.seen = Seen()
        self._stack = stack
        self._database = database
        self._thread: threading.Thread | None = None
        self._made: Made | None = None

    @property
    def status(self) -> WorldStatus:
        return wait_for("the world's record", lambda: status_of(self._database, self.order.world_id), seconds=START_SECONDS)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, *, calls: int = 0, generation: str | None = None) -> None:
        """Start a run; return when the emulator has received this number of calls (or the run has already ended)."""

        def work() -> None:
            self._made = make(self.order, generation=generation)

        self._thread = threading.Thread(target=work, name=f"world {self.order.world_id}", daemon=True)
        self._thread.start()
        wait_for(
            f"call {calls} of the world",
            lambda: self._stack.gemini.stats().calls >= calls or not self.running or None,
            seconds=START_SECONDS,
            every=SAMPLE_SECONDS,
        )

    def end(self, *, seconds: float) -> Made:
        wait_for("the end of the world's run", lambda: not self.running or None, seconds=seconds, every=SAMPLE_SECONDS)
        if self._made is None:
            raise RuntimeError("the world's run broke off; its traceback stands above")
        return self._made

    def watch(self, seconds: float, *, timeout: float | None = None) -> None:
        """Observe for this long. With ``timeout``, the time-out of a call, count probes after the breaker was open for longer than
        that."""
        end = time.monotonic() + seconds
        opened: float | None = None
        while (now := time.monotonic()) < end:
            self.look(probing=timeout is not None and opened is not None and now > opened + timeout + SAMPLE_SECONDS)
            if opened is None and BreakerState.OPEN.value in self.seen.breaker:
                opened = now
            time.sleep(SAMPLE_SECONDS)

    def look(self, *, probing: bool = False) -> None:
        """Observe once; nothing can be read while MongoDB is unavailable."""
        try:
            status = status_of(self._database, self.order.world_id)
            states = self._breaker()
        except PyMongoError:
            return
        if status is not None and status.waiting_for is not None:
            self.seen.waited_for.setdefault(status.waiting_for.api, status.waiting_for.since)
        self.seen.breaker |= states
        if probing:
            self.seen.probes = max(self.seen.probes, self._stack.gemini.stats().in_flight)

    def attempts(self) -> set[int]:
        """The attempt counts of all its tasks, and whether the status record names a failed one."""
        return set(self._database[TASKS].distinct("attempt_count", {"world_id": self.order.world_id}))

    def complaints(self) -> list[str]:
        """The faults of a completed world (it may have no attempts after the first)."""
        findings = exactness(self._stack, self._database, self.order.world_id)
        return findings.complaints

    def closed(self) -> bool | None:
        """True when the stored breaker status is closed again; for ``wait_for``."""
        return not self._breaker() or None

    def _breaker(self) -> set[str]:
        """The stored state of the language model's breaker; None while it is closed."""
        return {one.state.value for one in breakers_not_closed(self._database) if one.api == Api.LLM.value}
