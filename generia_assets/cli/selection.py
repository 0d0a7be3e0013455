"""The worlds that a command is about: named ones, all, or those that fit filters.

Here: the options that ``stop``, ``resume``, ``delete`` and ``retire`` have in common, and the query that they make. Not here:
which of these worlds a command may work on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from generia_assets.cli.connections import get_world
from generia_assets.cli.console import CommandError
from generia_assets.cli.options import choice, dollars, flag, moment, option, world_argument
from generia_assets.durable.status import OURS, UNFINISHED, State

if TYPE_CHECKING:
    from resources.mongodb.connection import MongoDatabase, MongoDocument

PARKED = "parked"
"""Beside the contract's states: in progress, and nobody works on it."""
StateOption = Annotated[
    str | None,
    option(
        "--state",
        "STATE",
        "Only worlds that are pending, in_progress, completed, failed, or parked (waiting to be resumed).",
        choice([*(state.value for state in State), PARKED]),
    ),
]
Worlds = Annotated[list[str] | None, world_argument()]
All = Annotated[bool, flag("--all", "All worlds.")]
PromptText = Annotated[str | None, option("--prompt", "TEXT", "Only worlds whose sentence contains this text.")]
Before = Annotated[
    datetime | None, option("--ordered-before", "WHEN", "Only worlds ordered before this moment, or longer ago: 2h, 3d.", moment)
]
After = Annotated[
    datetime | None, option("--ordered-after", "WHEN", "Only worlds ordered since this moment, or this long ago: 2h, 3d.", moment)
]
CostOver = Annotated[float | None, option("--cost-over", "DOLLARS", "Only worlds that have cost more.", dollars)]


def state_query(state: str | None) -> MongoDocument:
    if state is None:
        return {}
    if state == PARKED:
        return {**OURS, "parked": {"$ne": None}, "status": UNFINISHED}
    return {"status": state}


@dataclass(frozen=True)
class Filters:
    """Filters of worlds; those that are None do not count."""

    state: str | None = None
    prompt: str | None = None
    before: datetime | None = None
    after: datetime | None = None
    cost_over: float | None = None

    def __bool__(self) -> bool:
        return self != Filters()

    @property
    def query(self) -> MongoDocument:
        spent = {"$add": [{"$ifNull": ["$llm_cost_total", 0]}, {"$ifNull": ["$image_cost_total", 0]}]}
        ordered = {name: at for name, at in (("$lt", self.before), ("$gte", self.after)) if at is not None}
        return {
            **state_query(self.state),
            **({"parameters.user_prompt": {"$regex": re.escape(self.prompt), "$options": "i"}} if self.prompt is not None else {}),
            **({"created_at": ordered} if ordered else {}),
            **({"$expr": {"$gt": [spent, self.cost_over]}} if self.cost_over is not None else {}),
        }


def require_one_way(*given: object, ways: str) -> None:
    """Raise ``CommandError`` unless exactly one of these ways to name worlds is given."""
    if sum(map(bool, given)) != 1:
        raise CommandError(f"give {ways}", 2)


def selected(database: MongoDatabase, worlds: list[str], filters: Filters) -> MongoDocument:
    """Finds the worlds with these names, or else those that fit the filters."""
    if worlds:
        return {"_id": {"$in": [get_world(database, one).world_id for one in worlds]}}
    return filters.query
