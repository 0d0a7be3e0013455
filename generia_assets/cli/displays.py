"""How a start and a world in the making are shown: live for people, in plain lines for everything else.

Here: the two displays, both driven by the same calls. Not here: drawing (panel.py), and the summary at the end (summary.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text as Line

from generia_assets.cli import inert
from generia_assets.cli.follow import Moment
from generia_assets.cli.logs_shown import print_lines
from generia_assets.cli.panel import LINES, UNREAD, world_panel
from generia_assets.cli.remaining import in_words
from generia_assets.cli.texts import Text
from generia_assets.cli.words import progress_line

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
        self._say(f"{what}: {inert.line(prompt, 200)}")
        self._since = time.monotonic()

    def moment(self, moment: Moment) -> None:
        """See ``Display``."""
        print_lines(self._console, moment.log)
        for text in moment.texts:
            if self._full_texts:
                print_text(self._console, text)
            else:
                self._say(f"{text.kind}: {text.title}: {inert.line(text.body, 120)}")
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
    return air + (f"; {in_words(moment.left)}" if moment.left is not None else "")


def print_text(console: Console, text: Text) -> None:
    """A text as it is read: its title, then its body. A picture is where it lies."""
    if text.pictures:
        console.print(Line(f"picture  {text.body}", "cyan"))
        return
    console.print(Line(f"{text.title}", "bold"))
    console.print(Padding(Line(text.body), (0, 0, 1, 4)) if console.is_terminal else Line(f"{text.body}\n"))
