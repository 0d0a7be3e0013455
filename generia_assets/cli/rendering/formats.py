"""How numbers, moments, JSON, tables and a world's state are written by all commands."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import typer
from pydantic import BaseModel
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text as Line

from generia_assets.cli.console import remarks, results, safe_json
from generia_assets.content.text import plural


def as_json(value: object) -> str:
    """One line of JSON, harmless for a terminal: what a terminal would obey is written as its escape."""
    return safe_json(json_module.dumps(value, ensure_ascii=False, default=json_default))


def print_result(fields: Mapping[str, object], text: str, *, json: bool) -> None:
    """What a command did: one JSON object, or a sentence."""
    if json:
        typer.echo(as_json(fields))
    else:
        results().print(text)


def print_limit(shown: int, *, json: bool) -> None:
    (remarks() if json else results()).print(f"There are more; --limit {shown * 10} shows them.")


def json_default(value: object) -> object:
    """Types that JSON lacks: models as objects, moments in ISO 8601, of bytes their number, everything else as text."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, bytes):
        return plural(len(value), "byte")
    return value.isoformat() if isinstance(value, datetime) else str(value)


def duration(milliseconds: float) -> str:
    """A time as people read it: 850 ms, 4.2 s, 3 min 20 s, 2 h 5 min."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def about(seconds: float) -> str:
    """An estimated time, no more exact than the estimate is."""
    if seconds < 90:
        return f"{max(1, round(seconds / 5)) * 5} s"
    return f"{round(seconds / 60)} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def compact(number: int) -> str:
    """A large number in four places: 987, 12.3k, 1.25M."""
    for least, scale, unit in ((999_500_000, 1e9, "G"), (999_500, 1e6, "M"), (10_000, 1e3, "k")):
        if number >= least:
            return f"{number / scale:.3g}{unit}"
    return f"{number:,}"


def share(part: float) -> str:
    return f"{100 * part:.0f} %"


def of_total(part: int, whole: int) -> str:
    return str(part) if part == whole else f"{part}/{whole}"


def moment(at: datetime) -> str:
    """A moment in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def clock(at: datetime) -> str:
    """The time of day in UTC, to the millisecond; before it the date, unless that is today."""
    there = at.astimezone(UTC)
    date = "" if there.date() == datetime.now(UTC).date() else f"{there:%Y-%m-%d} "
    return f"{date}{there:%H:%M:%S}.{there.microsecond // 1000:03d}"


def ago(at: datetime) -> str:
    seconds = max(0, int((datetime.now(UTC) - at).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def time_left(seconds: float) -> str:
    """A time left, no more exact than the estimate is."""
    return f"about {about(seconds)} left" if seconds >= 5 else "a few seconds left"


GAP = 1
"""Columns of the window between two of the table."""


@dataclass
class FittedTable:
    """Titles and rows. The first ``texts`` columns begin at the left; the others, numbers, end at the right.

    ``gives_way``: which columns give way where there is no room for all, the first one first; ``short``: what stands in such a
    column then, in place of nothing.
    """

    titles: Sequence[str]
    texts: int
    gives_way: Sequence[str]
    rows: list[Sequence[str | Line]] = field(default_factory=list)
    short: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def print(self, console: Console) -> None:
        """Print it, and below it what was left out."""
        for given in range(len(self.gives_way) + 1):
            table, width = self._without(self.gives_way[:given])
            if width <= console.width:
                break
        console.print(table)
        if missing := [title for title in self.gives_way[:given] if title not in self.short]:
            console.print(Line(f"(no room for: {', '.join(missing)}; --json has all)", "dim"))

    def _without(self, titles: Sequence[str]) -> tuple[Table, int]:
        """The table after these columns gave way, and how wide it is."""
        table, width = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0)), -GAP
        columns = []
        for place, title in enumerate(self.titles):
            if title in titles and title not in self.short:
                continue
            cells = [row[place] for row in self.rows] if title not in titles else self.short[title]
            table.add_column(title, justify="left" if place < self.texts else "right", no_wrap=True)
            columns.append(cells)
            width += GAP + max(cell_len(str(one)) for one in (title, *cells))
        for row in zip(*columns, strict=True):
            table.add_row(*row)
        return table, width
