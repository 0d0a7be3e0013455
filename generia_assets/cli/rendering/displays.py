"""How a start and a world in the making are shown: live for people, in plain lines for everything else.

Here: the two displays, both driven by the same calls, and the live picture, drawn with rich from plain values. Texts of users
and models are made safe for a terminal. Not here: the summary of a demo (local_services).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line

from generia_assets.cli.console import safe_line
from generia_assets.cli.rendering.formats import time_left
from generia_assets.cli.rendering.lines import STAGE_WORDS, breaker_line, print_log, progress_line
from generia_assets.cli.texts import Text
from generia_assets.cli.watching import Snapshot
from generia_assets.content.text import dollars
from generia_assets.durable.status import Stage, State, WorldStatus
from generia_assets.queries.worlds import over

REFRESH_PER_SECOND = 8
PLAIN_EVERY_S = 2.0
"""Plain lines of progress come at most so often."""
BAR_WIDTH = 40
WIDTH = 100
LINES = 6
"""Newest texts that are shown."""
UNREAD = "no order of this world was read yet; a generator that runs reads it within seconds"
_MARKS = {
    State.PENDING: ("○", "dim"),
    State.IN_PROGRESS: ("◐", "bold yellow"),
    State.COMPLETED: ("●", "green"),
    State.FAILED: ("✗", "bold red"),
}


class Display:
    """What shows a start and a world: ``start`` while services start, then ``begin`` once, then ``show`` for every snapshot.

    This one is for logs: a line for every change that matters, none more often than every two seconds.
    """

    def __init__(self, console: Console, *, full_texts: bool = False) -> None:
        """``full_texts``: texts are printed whole."""
        self._console = console
        self._full_texts = full_texts
        self._ready: set[str] = set()
        self._last = ""
        self._last_at = 0.0
        self._since = time.monotonic()

    def start(self, picture: RenderableType, ready: Iterable[str]) -> None:
        """What is being started, as it is now: drawn, and a line for each that is ready."""
        for line in ready:
            if line not in self._ready:
                self._ready.add(line)
                self._print(line)

    def begin(self, what: str, prompt: str) -> None:
        """From now on it is about this world; seconds count from here. ``what`` happened: 'ordered', 'watching'."""
        self._print(f"{what}: {safe_line(prompt, 200)}")
        self._since = time.monotonic()

    def show(self, snapshot: Snapshot) -> None:
        """The world as it is now. Its status was read before its texts: it is printed before them, except the last one."""
        ended = snapshot.status is not None and over(snapshot.status)
        if not ended:
            self._show_progress(snapshot)
        self._show_news(snapshot)
        if ended:
            self._show_progress(snapshot)

    def _show_news(self, snapshot: Snapshot) -> None:
        print_log(self._console, snapshot.log)
        for text in snapshot.texts:
            if self._full_texts:
                _print_text(self._console, text)
            else:
                self._show_text(text)

    def _show_text(self, text: Text) -> None:
        self._print(f"{text.kind}: {text.title}: {safe_line(text.body, 120)}")

    def _show_progress(self, snapshot: Snapshot) -> None:
        status = snapshot.status
        if status is None:
            if not self._last:
                self._last = UNREAD
                self._print(UNREAD)
            return
        line = progress_line(status) + (_now(snapshot) if not status.done else "")
        now = time.monotonic()
        if line != self._last and (now - self._last_at >= PLAIN_EVERY_S or over(status)):
            self._last, self._last_at = line, now
            self._print(line)

    def _print(self, text: str) -> None:
        self._console.print(f"{time.monotonic() - self._since:6.1f} s  {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class LiveDisplay(Display):
    """For people: one picture, drawn over itself. Full texts are printed above it."""

    def __init__(self, console: Console, *, full_texts: bool = False) -> None:
        super().__init__(console, full_texts=full_texts)
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_SECOND, transient=True)
        self._latest: deque[Text] = deque(maxlen=LINES)
        self._prompt = ""

    def start(self, picture: RenderableType, ready: Iterable[str]) -> None:
        self._live.update(picture)

    def begin(self, what: str, prompt: str) -> None:
        self._keep()  # what was shown of the start stays above
        self._prompt = prompt
        self._show_progress(Snapshot(None, []))

    def show(self, snapshot: Snapshot) -> None:
        """As above, in the picture, which has the newest texts in it."""
        self._show_news(snapshot)
        self._show_progress(snapshot)

    def _show_text(self, text: Text) -> None:
        self._latest.append(text)

    def _show_progress(self, snapshot: Snapshot) -> None:
        self._live.update(world_panel(snapshot, list(self._latest), prompt=self._prompt))

    def _keep(self) -> None:
        picture: RenderableType | None = self._live.get_renderable()
        self._live.update("")
        if picture:
            self._console.print(picture)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._keep()
        self._live.stop()


def display_on(console: Console, *, full_texts: bool = False) -> Display:
    return (LiveDisplay if console.is_terminal else Display)(console, full_texts=full_texts)


def _now(snapshot: Snapshot) -> str:
    calls = snapshot.in_flight
    flying = f"; {calls.llm} of {calls.llm_ceiling} calls in flight" if calls and calls.llm else ""
    return flying + (f"; {time_left(snapshot.left)}" if snapshot.left is not None else "")


def _print_text(console: Console, text: Text) -> None:
    """A text as it is read: its title, then its body. Of a picture its place."""
    if text.pictures:
        console.print(Line(f"picture  {text.body}", "cyan"))
        return
    console.print(Line(f"{text.title}", "bold"))
    console.print(Padding(Line(text.body), (0, 0, 1, 4)) if console.is_terminal else Line(f"{text.body}\n"))


def world_panel(snapshot: Snapshot, latest: Sequence[Text], *, prompt: str) -> Panel:
    """The world so far: a bar for each stage, time left, calls in flight, dollars, what is waited for, the newest texts."""
    status = snapshot.status
    if status is None:
        waiting = Line(UNREAD, "dim")
        return Panel(waiting, title=Line(safe_line(prompt, 80), "italic"), title_align="left", width=WIDTH, border_style="cyan")
    rows: list[RenderableType] = [_stages(status), Line(), *_figures(status, snapshot)]
    if status.status is State.PENDING and not status.message:
        rows.append(Line("the generator has read the order; its run is starting", "dim"))
    if status.waiting_for is not None:
        rows.append(Line(safe_line(f"waiting for {status.waiting_for.api}: {status.waiting_for.reason}", 94), "bold yellow"))
    if snapshot.in_flight is not None:
        rows += [Line(f"breaker {breaker_line(one)}", "yellow") for one in snapshot.in_flight.breakers]
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
            Line(f"{made}/{wanted}" if stage.name in counts else ""),
        )
    return table


@dataclass(frozen=True)
class _Bar:
    """A bar that can be read without colours, too, as wide as there is room for it."""

    share: float

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(4, min(BAR_WIDTH, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(BAR_WIDTH, options.max_width)
        filled = min(width, int(self.share * width))
        bar = Line("━" * filled, "green" if filled == width else "cyan")
        yield bar.append("╌" * (width - filled), "dim")


def _figures(status: WorldStatus, snapshot: Snapshot) -> list[Line]:
    left = f", {time_left(snapshot.left)}" if snapshot.left is not None else ""
    cap = f", at most {dollars(status.cost_limit_usd)}" if status.cost_limit_usd is not None else ""
    done = status.tasks_completed + status.tasks_failed
    failed = f", {status.tasks_failed} failed for good" if status.tasks_failed else ""
    first = Line(f"{snapshot.seconds:.1f} s{left}", "bold")
    first.append(f"    {dollars(status.cost_usd)} in all{cap}    {done} of {status.task_predicted} tasks{failed}", "not bold")
    if status.generation is None:
        return [first]
    model = f"{status.api_calls_made_LLM} made of at most {status.api_call_limits_LLM}"
    pictures = f"{status.api_calls_made_images} made of at most {status.api_call_limits_images}"
    if calls := snapshot.in_flight:
        model += f", {calls.llm} of {calls.llm_ceiling} calls in flight"
        pictures += f", {calls.images} of {calls.image_ceiling} calls in flight"
    return [first, Line(f"model     {model}", "dim"), Line(f"pictures  {pictures}", "dim")]


def _one_line(text: Text) -> Line:
    line = Line(no_wrap=True, overflow="ellipsis")
    line.append({"world": "◆ ", "person": "☺ ", "post": "✎ ", "picture": "▣ "}[text.kind], "cyan")
    line.append(f"{safe_line(text.title, 36)}  ", "bold")
    line.append(safe_line(text.body, WIDTH))
    return line
