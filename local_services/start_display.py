"""How the start of the services is shown: a live panel for people, a line for each service that is ready for everything else."""

from __future__ import annotations

from collections.abc import Iterable

from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from generia_assets.cli.displays import Display
from generia_assets.cli.panel import WIDTH
from local_services.services import Ownership, Service

_WHOSE_STYLE = {Ownership.EMBEDDED: "cyan", Ownership.YOURS: "bold magenta", Ownership.GENERATOR: "dim"}


def show_services(display: Display, services: Iterable[Service]) -> None:
    """Show the services as they are now."""
    now = list(services)
    ready = [f"{one.name} ({one.whose.value}): {one.address}" for one in now if one.ready]
    display.start(services_panel(now), ready)


def services_panel(services: Iterable[Service]) -> Panel:
    """The services, each with its state, its address and whose it is."""
    table = Table.grid(padding=(0, 1))
    for fixed in (True, True, True, False, False):  # in a narrow window the address and whose it is give way
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
        whose = Line(service.whose.value, _WHOSE_STYLE[service.whose], no_wrap=True, overflow="ellipsis")
        table.add_row(mark, Line(service.name), Line(seconds, "dim"), whose, address)
    return Panel(table, title=Line("starting the generator", "bold"), title_align="left", width=WIDTH, border_style="dim")
