"""The live picture of a start and of a world in the making, drawn anew a few times a second.

Here: drawing with rich, from plain values. Every text of users and models is harmless already, or is made so here. Not here: when
it is drawn (displays.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.parts import Part, Whose
from generia_assets.cli.texts import Text
from generia_assets.durable.status import Stage, StageState, State, WorldStatus

BAR_WIDTH = 24
WIDTH = 100
LINES = 6
"""Newest texts that are shown."""

_MARKS = {
    State.PENDING: ("○", "dim"),
    State.IN_PROGRESS: ("◐", "bold yellow"),
    State.COMPLETED: ("●", "green"),
    State.FAILED: ("✗", "bold red"),
}
STAGE_WORDS = {
    Stage.INITIALIZING: "order",
    Stage.WORLD_DESCRIPTION: "description",
    Stage.WORLD_IMAGE: "pictures",
    Stage.CHARACTERS: "people",
    Stage.POSTS: "posts",
    Stage.FINISHING: "finishing",
}
_WHOSE_STYLE = {Whose.EMBEDDED: "cyan", Whose.YOURS: "bold magenta", Whose.GENERATOR: "dim"}


def parts_panel(parts: Iterable[Part]) -> Panel:
    """The parts, each with its state, its address and whose it is."""
    table = Table.grid(padding=(0, 2))
    for part in parts:
        if part.ready:
            mark = Line("●", "green")
        elif part.child is not None:
            mark = Line("◐", "bold yellow")
        else:
            mark = Line("○", "dim")
        seconds = f"{part.seconds:4.1f} s" if part.child is not None else ""
        table.add_row(
            mark, Line(part.name), Line(seconds, "dim"), Line(part.whose.value, _WHOSE_STYLE[part.whose]), Line(part.address)
        )
    return Panel(table, title=Line("starting the generator", "bold"), title_align="left", width=WIDTH, border_style="dim")


def world_panel(status: WorldStatus | None, latest: Sequence[Text], *, prompt: str, seconds: float) -> Panel:
    """The world so far: stages, bars, calls and dollars, the newest texts. ``seconds`` since the order was sent."""
    if status is None:
        waiting = Line("the order is in Kafka; the generator reads it within seconds", "dim")
        return Panel(waiting, title=Line(inert.line(prompt, 80), "italic"), title_align="left", width=WIDTH, border_style="cyan")
    rows: list[RenderableType] = [_stages(status.stages), Line(), _bars(status), Line(), _figures(status, seconds)]
    if status.status is State.PENDING and not status.message:
        rows.append(Line("the generator has read the order; its run is starting", "dim"))
    if status.waiting_for is not None:
        rows.append(Line(inert.line(f"waiting for {status.waiting_for.api}: {status.waiting_for.reason}", 94), "bold yellow"))
    if status.message:
        rows.append(Line(inert.line(status.message, 300), "bold red" if status.status is State.FAILED else "yellow"))
    if latest:
        rows += [Line(), *(_one_line(text) for text in latest[-LINES:])]
    title = Line(inert.line(status.name, 40) or "a world without a name yet", "bold cyan")
    title.append(f"  {inert.line(prompt, 48)}", "italic dim")
    return Panel(Group(*rows), title=title, title_align="left", width=WIDTH, border_style="cyan", padding=(1, 2))


def _stages(stages: Sequence[StageState]) -> Line:
    line = Line()
    for stage in stages:
        mark, style = _MARKS[stage.status]
        line.append(f"{mark} ", style)
        line.append(f"{STAGE_WORDS[stage.name]}   ", "" if stage.status is not State.PENDING else "dim")
    return line


def _bars(status: WorldStatus) -> Table:
    table = Table.grid(padding=(0, 1))
    cells: list[RenderableType] = []
    for word, made, wanted in (
        ("people", status.users_created, status.users_predicted),
        ("posts", status.posts_created, status.posts_predicted),
    ):
        cells += [
            Line(word),
            ProgressBar(total=max(wanted, 1), completed=made if wanted else 1, width=BAR_WIDTH),
            Line(f"{made}/{wanted}    "),
        ]
    table.add_row(*cells)
    return table


def _figures(status: WorldStatus, seconds: float) -> Line:
    return Line(
        f"{seconds:6.1f} s    calls {status.api_calls_made_LLM}    pictures {status.api_calls_made_images}    "
        f"tasks {status.tasks_completed}/{status.task_predicted}    ${status.cost_usd:.4f}",
        "dim",
    )


def _one_line(text: Text) -> Line:
    line = Line(no_wrap=True, overflow="ellipsis")
    line.append({"world": "◆ ", "person": "☺ ", "post": "✎ "}[text.kind], "cyan")
    line.append(f"{inert.line(text.title, 36)}  ", "bold")
    line.append(inert.line(text.body, WIDTH))
    return line
