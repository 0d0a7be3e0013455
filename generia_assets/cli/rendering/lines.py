"""How a world's state, a breaker that holds it up, a request with its answer and a line of a world's log are written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from math import ceil
from typing import Literal

from rich.console import Console
from rich.text import Text as Line

from generia_assets.cli.console import indented, labelled, safe_block, safe_line
from generia_assets.cli.rendering.formats import clock, compact, duration
from generia_assets.content.text import dollars
from generia_assets.durable.status import Stage, State, WorldStatus
from generia_assets.queries.in_flight import BreakerView
from generia_assets.queries.log import LogLine
from generia_assets.queries.records import OK, RequestRecord
from resources.gemini.tiers import CallTier

STAGE_WORDS = {
    Stage.INITIALIZING: "order",
    Stage.WORLD_DESCRIPTION: "description",
    Stage.WORLD_IMAGE: "pictures",
    Stage.CHARACTERS: "people",
    Stage.POSTS: "posts",
    Stage.FINISHING: "finishing",
}


def breaker_line(breaker: BreakerView) -> str:
    """A breaker that holds calls back, in one line: since when, and when it is seen whether the API answers again."""
    line = f"{breaker.api} {breaker.state.value.upper().replace('_', '-')} since {clock(breaker.since)} UTC"
    if breaker.runs > 1:
        line += f" in {breaker.runs} runs"
    if breaker.probe_at is None:
        return f"{line}, a call is sent to see whether it answers"
    seconds = ceil((breaker.probe_at - datetime.now(UTC)).total_seconds())
    return f"{line}, next probe {f'in {seconds} s' if seconds > 0 else 'with the next call'}"


def progress_line(status: WorldStatus) -> str:
    """A world's progress in one line: figures of the whole world, none of its present generation alone (calls)."""
    line = (
        f"{status.current_stage.value if not status.done else status.status.value}: people "
        f"{status.users_created}/{status.users_predicted}, posts {status.posts_created}/{status.posts_predicted}, "
        f"{dollars(status.cost_usd)}"
    )
    if status.waiting_for is not None:
        line += f"; waiting for {status.waiting_for.api}: {safe_line(status.waiting_for.reason, 100)}"
    if (status.status is not State.COMPLETED or status.unfinished) and status.message:
        line += f"; {safe_line(status.message, 300)}"
    return line


Depth = Literal["figures", "texts", "all"]
"""How much is shown: the line of figures; with texts cut short; with whole texts."""
SHORT = 700
"""Characters of a text that is cut."""


def figures(request: RequestRecord) -> str:
    parts = [duration(request.duration_ms)]
    if request.waited_ms >= 1:
        parts.append(f"waited {duration(request.waited_ms)}")
    if request.prompt_tokens:
        cached = f" ({compact(request.cached_tokens)} cached)" if request.cached_tokens else ""
        thinking = f" ({compact(request.thinking_tokens)} thinking)" if request.thinking_tokens else ""
        parts.append(f"{compact(request.prompt_tokens)}{cached} + {compact(request.output_tokens)}{thinking} tokens")
    if request.cost_usd:
        parts.append(dollars(request.cost_usd))
    return ", ".join(parts)


def print_request(console: Console, request: RequestRecord, depth: Depth, *, task: bool) -> None:
    """Print it. ``task``: also whose call it was."""
    line = Line().append(safe_line(request.request_type), "bold")
    if task:
        line.append(f"  {safe_line(f'{request.task_type} {request.key}')}", "cyan")
    if request.model:
        tier = "" if request.tier in ("", CallTier.STANDARD) else f" at {request.tier}"
        line.append(f"  {safe_line(request.model + tier)}")
    line.append(f"  {safe_line(request.outcome)}", "green" if request.outcome == OK else "bold yellow")
    line.append(f"  {figures(request)}")
    labelled(console, Line(f"{clock(request.at)}  ", "dim"), line)
    if request.error:
        indented(console, Line(safe_line(f"error: {request.error}", None if depth == "all" else 400), "yellow"), 4)
    if depth == "figures":
        return
    if depth == "all":
        _whole(console, request)
        return
    parts = request.request.get("parts")
    asked = str(parts[-1]) if isinstance(parts, list) and parts else request.prompt
    # A prompt ends with what is specific to this request; an answer is recognized by its beginning.
    if asked:
        short = len(asked) <= SHORT
        _titled(console, "asked" if short else "asked, in the end", asked if short else f"…{asked[-SHORT:].lstrip()}")
    if request.answer:
        _titled(console, "answered", request.answer if len(request.answer) <= SHORT else f"{request.answer[:SHORT].rstrip()}…")


def _whole(console: Console, request: RequestRecord) -> None:
    system, parts = request.request.get("system"), request.request.get("parts")
    if system:
        _titled(console, "system instruction", str(system))
    parts = parts if isinstance(parts, list) else []
    for number, part in enumerate(parts, 1):
        _titled(console, f"part {number} of {len(parts)}", str(part))
    if others := {name: value for name, value in request.request.items() if name not in ("system", "parts")}:
        _titled(console, "request", json.dumps(others, ensure_ascii=False, default=str, indent=2))
    if answer := request.answer:
        with suppress(ValueError):  # most answers are JSON, which is easier to read with indents
            answer = json.dumps(json.loads(answer), ensure_ascii=False, indent=2)
        _titled(console, "answer", answer)
    if others := {name: value for name, value in request.response.items() if name not in ("text", "answer")}:
        _titled(console, "response", json.dumps(others, ensure_ascii=False, default=str))


def _titled(console: Console, title: str, text: str) -> None:
    indented(console, Line(f"── {title} ──", "dim"), 4)
    indented(console, Line(safe_block(text)), 4)


STYLES = {"info": "", "warning": "yellow", "error": "bold red"}


def print_log(console: Console, lines: Iterable[LogLine]) -> None:
    for line in lines:
        text = Line()
        what = f"{line.task_type.removeprefix('generate_')} {line.key}".strip() if line.task_type else ""
        if what:
            text.append(f"{safe_line(what, 40)}: ", "cyan")
        text.append(safe_line(line.text, 240), STYLES[line.level])
        labelled(console, Line(f"{clock(line.at)}  ", "dim"), text)
