"""Tables that fit the window: where it is narrow, the columns that matter least are left out, and the others stay whole.

Here: the fitting. Not here: what the columns say (worlds.py, stats.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text as Line

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
            width += GAP + max(Line(title).cell_len, *(_line(cell).cell_len for cell in cells))
        for row in zip(*columns, strict=True):
            table.add_row(*row)
        return table, width


def _line(cell: str | Line) -> Line:
    return Line(cell) if isinstance(cell, str) else cell
