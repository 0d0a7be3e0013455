"""The parts of a running generator: started all at once, each as soon as what it needs is there, and ended in order.

Here: the machinery, the same for every part. Not here: which parts there are and how each is started (catalog.py), single
processes (generia_assets/processes.py), and how the start looks (start_display.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum

from generia_assets.code_server import Watch, replaced
from generia_assets.processes import Child

logger = logging.getLogger(__name__)

POLL_S = 0.02
IDLE_GRACE_S = 0.3
START_S = 60.0
"""A part that is not ready by then never will be."""


class Ownership(Enum):
    """Who runs a part."""

    EMBEDDED = "embedded"
    """Started here, in the place of a server that was not named."""
    YOURS = "yours"
    """Named by the environment or .env, used as it is."""
    GENERATOR = "generator"
    """The generator's own processes."""


@dataclass
class Service:
    """One part. ``launch`` starts its process and returns at once; ``probe`` gives its address when it can be used."""

    name: str
    whose: Ownership
    launch: Callable[[], Child] | None = None
    probe: Callable[[Child], str | None] = field(default=lambda child: child.ready_value if child.ready() else None)
    after: tuple[str, ...] = ()
    """Parts that must be ready before this one is started."""
    ends_first: bool = False
    """Ended before the others: it uses them."""
    grace: float | None = None
    """Seconds it has to end in order; None: as generia_assets/processes.py thinks right."""
    address: str = ""
    watch: Watch | None = None
    """Says whether it is stuck. A part that has one is replaced when it is stuck or has ended."""
    child: Child | None = None
    former: list[Child] = field(default_factory=list)
    """Those it replaced; what they left behind is ended with it."""
    began: float = 0.0
    seconds: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return bool(self.address)


class ServiceSet:
    """The parts of one command, by name."""

    def __init__(self, parts: Sequence[Service]) -> None:
        self._parts = {part.name: part for part in parts}

    def __iter__(self) -> Iterator[Service]:
        return iter(list(self._parts.values()))

    def address(self, name: str) -> str:
        """The address of a part that is ready."""
        return self._parts[name].address

    def start(self, on_change: Callable[[], None]) -> None:
        """Start them all; return when every one is ready. Raises ``ChildFailedError`` for the first that cannot be had.

        ``on_change`` is called often meanwhile. What was started still runs when this raises: ``stop`` ends it.
        """
        while not all(part.ready for part in self):
            for part in self:
                self._move(part)
            on_change()
            time.sleep(POLL_S)
        on_change()

    def check(self) -> None:
        """Raise ``ChildFailedError`` if a part has ended by itself; replace one that is watched and may be replaced."""
        for part in self:
            if part.child is not None and not (part.watch is not None and _replace(part, part.child, part.watch)):
                part.child.check()

    def stop(self, *, idle: bool = False) -> None:
        """End what was started: first those that use the others, then the rest; within each group all at once.

        ``idle``: no run is at work, so that nobody needs time to end in order.
        """
        for group in (True, False):
            ours = [part for part in self if part.ends_first is group]
            ending = [(part.child, part.grace) for part in ours if part.child is not None]
            ending += [(child, 0.0) for part in ours for child in part.former]
            if ending:
                with ThreadPoolExecutor(len(ending)) as threads:
                    list(threads.map(lambda one: one[0].stop(IDLE_GRACE_S if group and idle else one[1]), ending))  # noqa: B023

    def _move(self, part: Service) -> None:
        if part.ready:
            return
        if part.child is None:
            if part.launch is not None and all(self._parts[name].ready for name in part.after):
                part.began = time.monotonic()
                part.child = part.launch()
                if part.watch is not None:
                    part.watch.begin()
            return
        found = part.probe(part.child)
        part.seconds = time.monotonic() - part.began
        if found:
            part.address = found
        else:
            part.child.check()
            if part.seconds > START_S:
                raise part.child.failure(f"was not ready within {START_S:g} s")


def _replace(part: Service, child: Child, watch: Watch) -> bool:
    """Start the part again if it is stuck or has ended. False if there is no need, or if it cannot be had at all."""
    if part.launch is None or not (watch.stuck or (child.exit_code() is not None and watch.answered)):
        return False
    logger.warning(replaced(child.exit_code()))
    child.kill()
    part.former.append(child)
    part.child = part.launch()
    watch.begin()
    return True
