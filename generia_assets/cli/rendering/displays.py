"""How a start and a world in the making are shown: live for people, in plain lines for everything else.

Here: the two displays, both driven by the same calls, and the live picture, drawn with rich from plain values. Every text of users
and models is harmless already, or is made so here. Not here: the summary at the end (summary.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from generia_assets.cli.console import safe_line
from generia_assets.cli.rendering.formats import STAGE_WORDS, breaker_line, dollars, progress_line, time_left
from generia_assets.cli.rendering.requests import print_lines
from generia_assets.cli.texts import Text
from generia_assets.cli.watching import Moment
from generia_assets.durable.status import Stage, State, WorldStatus

REFRESH_PER_SECOND = 8
PLAIN_EVERY_S = 2.0
"""Plain lines of progress come at most so often."""


class Display(Protocol):
    """What shows a start and a world."""

    def start(self, picture: RenderableType, ready: Iterable[str]) -> None:
        """What is being started, as it is now: drawn, and a line for each that is ready."""
        ...

    def began(self, what: str, prompt: str) -> None:
        """From now on it is about this world; seconds count from here. ``what`` happened: 'ordered', 'watching'."""
        ...

    def moment(self, moment: Moment) -> None:
        """The world as it is now."""
        ...


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """For people: one picture, drawn over itself. With ``full_texts``, texts are printed whole above it."""

    def __init__(self, console: Console, *, full_texts: bool = False) -> None:
        self._console = console
        self._full_texts = full_texts
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_SECOND, transient=True)
        self._latest: deque[Text] = deque(maxlen=LINES)
        self._moment = Moment(None, [])
        self._prompt = ""

    def start(self, picture: RenderableType, ready: Iterable[str]) -> None:
        """See ``Display``."""
        del ready  # the picture shows it
        self._live.update(picture)

    def began(self, what: str, prompt: str) -> None:
        """See ``Display``. What was shown of the start stays above."""
        del what  # the picture shows it
        self._keep()
        self._prompt = prompt
        self._draw()

    def moment(self, moment: Moment) -> None:
        """See ``Display``."""
        print_lines(self._console, moment.log)
        for text in moment.texts:
            if self._full_texts:
                print_text(self._console, text)
            else:
                self._latest.append(text)
        self._moment = moment
        self._draw()

    def _draw(self) -> None:
        self._live.update(world_panel(self._moment, list(self._latest), prompt=self._prompt))

    def _keep(self) -> None:
        picture: RenderableType | None = self._live.get_renderable()
        self._live.update("")
        if picture:
            self._console.print(picture)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._keep()
        self._live.stop()


class PlainDisplay(AbstractContextManager["PlainDisplay"]):
    """For logs: a line for every change that matters, none more often than every two seconds."""

    def __init__(self, console: Console, *, full_texts: bool = False) -> None:
        self._console = console
        self._full_texts = full_texts
        self._ready: set[str] = set()
        self._told = ""
        self._told_at = 0.0
        self._since = time.monotonic()

    def start(self, picture: RenderableType, ready: Iterable[str]) -> None:
        """See ``Display``."""
        del picture
        for line in ready:
            if line not in self._ready:
                self._ready.add(line)
                self._say(line)

    def began(self, what: str, prompt: str) -> None:
        """See ``Display``."""
        self._say(f"{what}: {safe_line(prompt, 200)}")
        self._since = time.monotonic()

    def moment(self, moment: Moment) -> None:
        """See ``Display``."""
        print_lines(self._console, moment.log)
        for text in moment.texts:
            if self._full_texts:
                print_text(self._console, text)
            else:
                self._say(f"{text.kind}: {text.title}: {safe_line(text.body, 120)}")
        status = moment.status
        if status is None:
            if not self._told:
                self._told = UNREAD
                self._say(self._told)
        else:
            told = progress_line(status) + (_now(moment) if not status.done else "")
            now = time.monotonic()
            if told != self._told and (now - self._told_at >= PLAIN_EVERY_S or status.done):
                self._told, self._told_at = told, now
                self._say(told)

    def _say(self, text: str) -> None:
        self._console.print(f"{time.monotonic() - self._since:6.1f} s  {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def display_on(console: Console, *, full_texts: bool = False) -> LiveDisplay | PlainDisplay:
    """The display that fits who is looking."""
    if console.is_terminal:
        return LiveDisplay(console, full_texts=full_texts)
    return PlainDisplay(console, full_texts=full_texts)


def _now(moment: Moment) -> str:
    air = "" if not moment.air or not moment.air.llm else f"; {moment.air.llm} of {moment.air.llm_ceiling} calls in flight"
    return air + (f"; {time_left(moment.left)}" if moment.left is not None else "")


def print_text(console: Console, text: Text) -> None:
    """A text as it is read: its title, then its body. A picture is where it lies."""
    if text.pictures:
        console.print(Line(f"picture  {text.body}", "cyan"))
        return
    console.print(Line(f"{text.title}", "bold"))
    console.print(Padding(Line(text.body), (0, 0, 1, 4)) if console.is_terminal else Line(f"{text.body}\n"))


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
        return Panel(waiting, title=Line(safe_line(prompt, 80), "italic"), title_align="left", width=WIDTH, border_style="cyan")
    rows: list[RenderableType] = [_stages(status), Line(), *_figures(status, moment)]
    if status.status is State.PENDING and not status.message:
        rows.append(Line("the generator has read the order; its run is starting", "dim"))
    if status.waiting_for is not None:
        rows.append(Line(safe_line(f"waiting for {status.waiting_for.api}: {status.waiting_for.reason}", 94), "bold yellow"))
    if moment.air is not None:
        rows += [Line(f"breaker {breaker_line(one)}", "yellow") for one in moment.air.breakers]
    if status.message:
        rows.append(Line(safe_line(status.message, 300), "bold red" if status.status is State.FAILED else "yellow"))
    if latest:
        rows += [Line(), *(_one_line(text) for text in latest[-LINES:])]
    title = Line(safe_line(status.name, 40) or "a world without a name", "bold cyan")
    title.append(f"  {safe_line(prompt, 48)}", "italic dim")
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
    left = f", {time_left(moment.left)}" if moment.left is not None else ""
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
    line.append(f"{safe_line(text.title, 36)}  ", "bold")
    line.append(safe_line(text.body, WIDTH))
    return line
