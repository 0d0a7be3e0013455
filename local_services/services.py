"""The services of a running generator: each is started as soon as the services that it needs are ready, and all are ended in order.

Not here: which services there are and how each is started (catalog.py), and single processes (generia_assets/processes.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum

from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from generia_assets.cli.rendering.displays import WIDTH, Display
from generia_assets.code_server import Watch
from generia_assets.code_server import replaced as describe_replacement
from generia_assets.processes import Child, ChildFailedError

logger = logging.getLogger(__name__)

POLL_S = 0.02
IDLE_GRACE_S = 0.3
START_S = 60.0
"""A service that is not ready by then never will be."""


Probe = Callable[[Child], str | None]


def ready_value(child: Child) -> str | None:
    """The address that one of our programs (``processes.launch``) announces when it is ready."""
    return child.ready_value if child.ready() else None


class Ownership(Enum):
    """Who runs a service."""

    EMBEDDED = "embedded"
    """Started here, in the place of a server that was not named."""
    YOURS = "yours"
    """Named by the environment or .env, used as it is."""
    GENERATOR = "generator"
    """The generator's own processes."""


@dataclass
class Service:
    """One service. ``launch`` starts its process and returns at once; ``probe`` returns its address when it can be used."""

    name: str
    ownership: Ownership
    launch: Callable[[], Child] | None = None
    probe: Probe = ready_value
    after: tuple[str, ...] = ()
    """Services that must be ready before this one is started."""
    ends_first: bool = False
    """Ended before the others: it uses them."""
    grace: float | None = None
    """Seconds it has to end in order; None: the default of generia_assets/processes.py."""
    address: str = ""
    watch: Watch | None = None
    """Says whether it is stuck. A service that has one is replaced when it is stuck or has ended."""
    child: Child | None = None
    replaced: list[Child] = field(default_factory=list)
    """Those that this one replaced; what they left behind is ended with it."""
    began: float = 0.0
    seconds: float = 0.0

    @property
    def ready(self) -> bool:
        return bool(self.address)


class ServiceSet:
    """The services of one command, by name."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = {service.name: service for service in services}

    def __iter__(self) -> Iterator[Service]:
        return iter(list(self._services.values()))

    def address(self, name: str) -> str:
        return self._services[name].address

    def start(self, on_change: Callable[[], None]) -> None:
        """Start them all; return when every one is ready. Raises ``ChildFailedError`` for the first that fails.

        ``on_change`` is called often meanwhile. Started services still run when this raises: ``stop`` ends them.
        """
        while not all(service.ready for service in self):
            for service in self:
                self._advance(service)
            on_change()
            time.sleep(POLL_S)
        on_change()

    def check(self) -> None:
        """Raise ``ChildFailedError`` if a service has ended by itself; replace one that is watched and may be replaced."""
        for service in self:
            if service.child is not None and not (service.watch is not None and _replace(service, service.child, service.watch)):
                service.child.check()

    def stop(self, *, idle: bool = False) -> None:
        """End the started services: first those that use the others, then the rest; within each group all at once.

        ``idle``: no run is at work, so that no process needs time to end in order.
        """
        for group in (True, False):
            ours = [service for service in self if service.ends_first is group]
            ending = [(service.child, service.grace) for service in ours if service.child is not None]
            ending += [(child, 0.0) for service in ours for child in service.replaced]
            if ending:
                with ThreadPoolExecutor(len(ending)) as threads:
                    list(threads.map(lambda one: one[0].stop(IDLE_GRACE_S if group and idle else one[1]), ending))  # noqa: B023

    def _advance(self, service: Service) -> None:
        if service.ready:
            return
        if service.child is None:
            if service.launch is not None and all(self._services[name].ready for name in service.after):
                service.began = time.monotonic()
                service.child = service.launch()
                if service.watch is not None:
                    service.watch.begin()
            return
        found = service.probe(service.child)
        service.seconds = time.monotonic() - service.began
        if found:
            service.address = found
        else:
            service.child.check()
            if service.seconds > START_S:
                raise ChildFailedError(service.child, f"was not ready within {START_S:g} s")


def _replace(service: Service, child: Child, watch: Watch) -> bool:
    """Start the service again if it is stuck or has ended. False if this is not needed, or if it never answered."""
    if service.launch is None or not (watch.stuck or (child.exit_code() is not None and watch.answered)):
        return False
    logger.warning(describe_replacement(child.exit_code()))
    child.kill()
    service.replaced.append(child)
    service.child = service.launch()
    watch.begin()
    return True


_OWNER_STYLE = {Ownership.EMBEDDED: "cyan", Ownership.YOURS: "bold magenta", Ownership.GENERATOR: "dim"}


def show_services(display: Display, services: Iterable[Service]) -> None:
    now = list(services)
    ready = [f"{one.name} ({one.ownership.value}): {one.address}" for one in now if one.ready]
    display.start(services_panel(now), ready)


def services_panel(services: Iterable[Service]) -> Panel:
    """The services, each with its state, its address and its owner."""
    table = Table.grid(padding=(0, 1))
    for fixed in (True, True, True, False, False):  # in a narrow window the address and the owner are left out
        table.add_column(no_wrap=fixed)
    for service in services:
        if service.ready:
            mark = Line("●", "green")
        elif service.child is not None:
            mark = Line("◐", "bold yellow")
        else:
            mark = Line("○", "dim")
        seconds = f"{service.seconds:4.1f} s" if service.child is not None else ""
        address = Line(service.address, no_wrap=True, overflow="ellipsis")
        owner = Line(service.ownership.value, _OWNER_STYLE[service.ownership], no_wrap=True, overflow="ellipsis")
        table.add_row(mark, Line(service.name), Line(seconds, "dim"), owner, address)
    return Panel(table, title=Line("starting the generator", "bold"), title_align="left", width=WIDTH, border_style="dim")
