"""The live picture of a world in the making, drawn anew a few times a second.

Here: drawing with rich, from plain values. Every text of users and models is harmless already, or is made so here. Not here: when
it is drawn (displays.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.follow import Moment
from generia_assets.cli.formats import dollars
from generia_assets.cli.remaining import in_words
from generia_assets.cli.texts import Text
from generia_assets.cli.words import STAGE_WORDS, breaker_line
from generia_assets.durable.status import Stage, State, WorldStatus

BAR_WIDTH = 40
WIDTH = 100
LINES = 6
"""Newest texts that are shown."""
UNREAD = "no order of this world was read yet; a generator that runs reads it within seconds"
_ONE_TASK = (Stage.INITIALIZING, Stage.WORLD_DESCRIPTION, Stage.WORLD_IMAGE, Stage.FINISHING)
"""Stages without a number of their own."""

_MARKS = {
    State.PENDING: ("○", "dim"),
    State.IN_PROGRESS: ("◐", "bold yellow"),
    State.COMPLETED: ("●", "green"),
    State.FAILED: ("✗", "bold red"),
}


def world_panel(moment: Moment, latest: Sequence[Text], *, prompt: str) -> Panel:
    """The world so far: a bar for each stage, time left, calls in flight, dollars, what is waited for, the newest texts."""
    status = moment.status
    if status is None:
        waiting = Line(UNREAD, "dim")
        return Panel(waiting, title=Line(inert.line(prompt, 80), "italic"), title_align="left", width=WIDTH, border_style="cyan")
    rows: list[RenderableType] = [_stages(status), Line(), *_figures(status, moment)]
    if status.status is State.PENDING and not status.message:
        rows.append(Line("the generator has read the order; its run is starting", "dim"))
    if status.waiting_for is not None:
        rows.append(Line(inert.line(f"waiting for {status.waiting_for.api}: {status.waiting_for.reason}", 94), "bold yellow"))
    if moment.air is not None:
        rows += [Line(f"breaker {breaker_line(one)}", "yellow") for one in moment.air.breakers]
    if status.message:
        rows.append(Line(inert.line(status.message, 300), "bold red" if status.status is State.FAILED else "yellow"))
    if latest:
        rows += [Line(), *(_one_line(text) for text in latest[-LINES:])]
    title = Line(inert.line(status.name, 40) or "a world without a name", "bold cyan")
    title.append(f"  {inert.line(prompt, 48)}", "italic dim")
    return Panel(Group(*rows), title=title, title_align="left", width=WIDTH, border_style="cyan", padding=(1, 2))


def _stages(status: WorldStatus) -> Table:
    """A row for each stage: its mark, its name, its bar, and how many of how many."""
    table = Table.grid(padding=(0, 1))
    counts = {
        Stage.CHARACTERS: (status.users_created, status.users_predicted),
        Stage.POSTS: (status.posts_created, status.posts_predicted),
    }
    for stage in status.stages:
        mark, style = _MARKS[stage.status]
        made, wanted = counts.get(stage.name, (int(stage.status is State.COMPLETED), 1))
        table.add_row(
            Line(mark, style),
            Line(STAGE_WORDS[stage.name], "dim" if stage.status is State.PENDING else ""),
            _Bar(made / wanted if wanted else 1.0),
            Line("" if stage.name in _ONE_TASK else f"{made}/{wanted}"),
        )
    return table


@dataclass(frozen=True)
class _Bar:
    """A bar that can be read without colours, too, as wide as there is room for it."""

    share: float

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        del console
        return Measurement(4, min(BAR_WIDTH, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        width = min(BAR_WIDTH, options.max_width)
        filled = min(width, int(self.share * width))
        bar = Line("━" * filled, "green" if filled == width else "cyan")
        yield bar.append("╌" * (width - filled), "dim")


def _figures(status: WorldStatus, moment: Moment) -> list[Line]:
    left = f", {in_words(moment.left)}" if moment.left is not None else ""
    cap = f" of at most {dollars(status.cost_limit_usd)}" if status.cost_limit_usd is not None else ""
    done = status.tasks_completed + status.tasks_failed
    failed = f", {status.tasks_failed} failed for good" if status.tasks_failed else ""
    first = Line(f"{moment.seconds:.1f} s{left}", "bold")
    first.append(f"    {dollars(status.cost_usd)}{cap}    {done} of {status.task_predicted} tasks{failed}", "not bold")
    lines = [first]
    if status.generation is None:
        return lines
    air = moment.air
    for word, now, made, limit in (
        ("model", air and f"{air.llm} of {air.llm_ceiling}", status.api_calls_made_LLM, status.api_call_limits_LLM),
        ("pictures", air and f"{air.images} of {air.image_ceiling}", status.api_calls_made_images, status.api_call_limits_images),
    ):
        flying = f", {now} calls in flight" if now else ""
        lines.append(Line(f"{word:10}{made} made of at most {limit}{flying}", "dim"))
    return lines


def _one_line(text: Text) -> Line:
    line = Line(no_wrap=True, overflow="ellipsis")
    line.append({"world": "◆ ", "person": "☺ ", "post": "✎ ", "picture": "▣ "}[text.kind], "cyan")
    line.append(f"{inert.line(text.title, 36)}  ", "bold")
    line.append(inert.line(text.body, WIDTH))
    return line
