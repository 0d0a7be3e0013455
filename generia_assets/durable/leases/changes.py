"""Changes: what becomes true together, and how many changes become one update of the world's status record."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from pymongo import DeleteMany, InsertOne, ReplaceOne, UpdateMany, UpdateOne

from generia_assets.durable.events.events import LiveEvent
from generia_assets.durable.events.outbox import numbering
from resources.mongodb.connection import MongoDocument

WriteOperation: TypeAlias = InsertOne[MongoDocument] | ReplaceOne[MongoDocument] | UpdateOne | UpdateMany | DeleteMany

HELD = {"$gt": [{"$ifNull": ["$no_calls_until", "$$NOW"]}, "$$NOW"]}
"""Somebody is stopping the world (control.py, ``hold_calls``)."""


@dataclass(frozen=True)
class FencingToken:
    """Who may write: the world's owner at this epoch. ``sends_from``: the monotonic moment from which it may send calls."""

    world_id: str
    run_id: str
    epoch: int
    sends_from: float = 0.0

    @property
    def filter(self) -> MongoDocument:
        """Matches the status record only while this run owns the world."""
        return {"_id": self.world_id, "owner.run_id": self.run_id, "owner.epoch": self.epoch}


@dataclass(frozen=True, slots=True)
class Bound:
    """The sum of these fields of the status record is at most the field ``limit``, if that has a value."""

    fields: tuple[str, ...]
    limit: str

    def expression(self, increments: Mapping[str, float]) -> MongoDocument:
        """Matches a status record for which this is true after these increments."""
        total = [*(f"${name}" for name in self.fields), sum(increments.get(name, 0) for name in self.fields)]
        limit = [{"$ifNull": [f"${self.limit}", math.inf]}, increments.get(self.limit, 0)]
        return {"$lte": [{"$add": total}, {"$add": limit}]}

    def holds(self, record: MongoDocument, increments: Mapping[str, float]) -> bool:
        """The same for a record that was read."""
        limit = record.get(self.limit)
        total = sum(record[name] + increments.get(name, 0) for name in self.fields)
        return limit is None or bool(total <= limit + increments.get(self.limit, 0))


@dataclass(frozen=True)
class Change:
    """What becomes true together.

    ``enlist`` are upserts of pending tasks; ``transitions`` move tasks this run holds, each matching exactly one; ``records`` go to
    other collections; ``increments``, ``values``, ``minima`` (keep the earlier moment), ``failures`` and ``unset`` to the status
    record; ``events`` describe it (events.py). ``bounds``: the change is made only if they hold afterwards and nobody holds the
    world's calls. ``releases`` names a task: what is held for it goes along.
    """

    enlist: Sequence[UpdateOne] = ()
    transitions: Sequence[UpdateOne] = ()
    records: Mapping[str, Sequence[WriteOperation]] = field(default_factory=dict)
    increments: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    minima: Mapping[str, datetime] = field(default_factory=dict)
    failures: Sequence[MongoDocument] = ()
    unset: Sequence[str] = ()
    events: Sequence[LiveEvent] = ()
    bounds: Sequence[Bound] = ()
    releases: str | None = None


def summed(changes: Sequence[Change]) -> defaultdict[str, float]:
    increments: defaultdict[str, float] = defaultdict(float)
    for change in changes:
        for name, amount in change.increments.items():
            increments[name] += amount
    return increments


def bounds_of(changes: Sequence[Change]) -> list[MongoDocument]:
    """Matches a status record that these changes may be made to; empty where none of them has bounds."""
    bounds, increments = {bound for change in changes for bound in change.bounds}, summed(changes)
    return [{"$not": HELD}, *(bound.expression(increments) for bound in bounds)] if bounds else []


def within_bounds(changes: Sequence[Change], record: MongoDocument) -> list[Change]:
    """Those of these changes that this status record permits: all without bounds, and as many others as fit, in their order."""
    permitted = [change for change in changes if not change.bounds]
    increments = summed(permitted)
    for change in changes:
        after = summed([Change(increments=increments), change])
        if change.bounds and not record["held"] and all(bound.holds(record, after) for bound in change.bounds):
            permitted.append(change)
            increments = after
    return permitted


def status_update(changes: Sequence[Change], commit_id: str, *, tasks_added: int, events: int) -> MongoDocument:
    numbers, increments = numbering(events), summed(changes)
    increments.update(numbers.get("$inc", {}))
    if tasks_added:
        increments["tasks_total"] += tasks_added
    values: dict[str, object] = {"updated_at": datetime.now(UTC), "last_commit": commit_id, **numbers.get("$set", {})}
    minima: dict[str, datetime] = {}
    for change in changes:
        values.update(change.values)
        minima.update({name: min(moment, minima.get(name, moment)) for name, moment in change.minima.items()})
    update: MongoDocument = {"$set": values}
    if increments:
        update["$inc"] = {name: _whole(name, amount) for name, amount in increments.items()}
    if minima:
        update["$min"] = minima
    if unset := [name for change in changes for name in change.unset]:
        update["$unset"] = dict.fromkeys(unset, "")
    if failures := [failure for change in changes for failure in change.failures]:
        update["$push"] = {"failures": {"$each": failures, "$slice": 100}}
    return update


def _whole(name: str, amount: float) -> float | int:
    """Costs are doubles, counters ints: the platform reads them by type."""
    return amount if "cost" in name else int(amount)
