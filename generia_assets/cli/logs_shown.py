"""How a line of a world's log is shown to people (as JSON it needs no drawing)."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.formats import clock
from generia_assets.queries.log import LogLine

STYLES = {"info": "", "warning": "yellow", "error": "bold red"}


def print_lines(console: Console, lines: Iterable[LogLine]) -> None:
    """The lines as people read them, one below the other."""
    for line in lines:
        text = Line(f"{clock(line.at)}  ", "dim")
        what = f"{line.task_type.removeprefix('generate_')} {line.key}".strip() if line.task_type else ""
        if what:
            text.append(f"{inert.line(what, 40)}: ", "cyan")
        text.append(inert.line(line.text, 240), STYLES[line.level])
        console.print(text)
