"""How a world's state and the breakers that hold it up are written, in one line each."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil

from generia_assets.cli.console import safe_line
from generia_assets.cli.rendering.formats import clock
from generia_assets.content.text import dollars
from generia_assets.durable.status import Stage, State, WorldStatus
from generia_assets.queries.in_flight import BreakerView

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
