"""The slots of each process of the fleet: one document for each API, changed by one atomic update.

Here: that update, as an aggregation pipeline on the server's clock. It drops expired leases, lowers or raises the ceiling, and
    gives the requesting process the slots that are free and fair. Not here: when a process asks, and which of its own calls comes
    first (concurrency.py).

Fair: each process has a weight, from its world's priority (``weight_of``). While another process is short of slots, no process has
more than its weight's part of the slots that are left when those that want less have what they want. Processes whose part is less
than one slot rotate on the slots that the larger parts leave, which is one at least: such a process lets its calls end, gives the
slot back, and waits behind those whose waiting time, multiplied by their weight, is longer. ``share`` is what the fleet counts as
in use (calls in flight are never revoked), ``may_use`` what the process may fill: it is lower while a process has more calls in
flight than is fair or than a lowered ceiling allows.
"""

from dataclasses import dataclass

from pydantic import BaseModel

from resources.mongodb.connection import MongoDocument

DECREASE = 0.75
"""Part of the ceiling that 429s leave at most."""
LEAST = 0.5
"""Part of the ceiling that the 429s of calls that were in flight together leave at least."""
SUCCESSES_PER_INCREASE = 25
"""Calls of the whole fleet that raise a lowered ceiling by one, if time has not raised it before."""
_IS_LOWERED = {"$ne": [{"$ifNull": ["$ceiling", None]}, None]}
ROUNDS = 4
"""Times that what satisfied processes do not want is divided among the others. Each round satisfies more of them; what is left
after the last one stays free until a process wants less or more."""


def weight_of(priority: int) -> float:
    """The weight of a world's process: two steps of priority double it.

    So a world at 10 has 32 times the slots of one at 0: beside twenty busy worlds at 0 it has nine of fifteen slots, more than its
    way to the first post needs, and they keep six. Steps by a factor are the same everywhere on the scale, and no weight is 0.
    """
    return float(2.0 ** (priority / 2))


@dataclass(frozen=True)
class SlotRequest:
    """What a process reports and asks for. Times are in milliseconds.

    Attributes:
        keeps: Slots that stay this process's, those in use included.
        lease: After so long without a request the process loses its slots.
        rise: In so long a lowered ceiling rises by one, while calls are made and none is answered 429.
        hold: For so long a ceiling that was found (one call more was answered 429) stays before one more is tried.
        refused_ago: Since the last call that was answered 429 began; None: there was none since the last request.
        fits: Then, calls of this process that were in flight beside those that were answered 429.
        pause: The wait that the provider demanded, for the whole fleet.
        succeeded: Number of calls that succeeded since the last request.
        weight: Of this process beside the others.
    """

    holder: str
    in_use: int
    keeps: int
    wants: int
    limit: int
    lease: int
    rise: int
    hold: int
    refused_ago: int | None = None
    fits: int = 0
    pause: int = 0
    succeeded: int = 0
    weight: float = 1.0


class Holder(BaseModel):
    """A process that has slots or wants some."""

    id: str
    share: int
    may_use: int
    wants: int
    weight: float = 1.0


class SlotShares(BaseModel):
    """The document after the update. ``ceiling`` is None before the first 429; ``pause_ms``: the remaining wait."""

    limit: int
    ceiling: float | None
    pause_ms: float
    holders: list[Holder]

    @property
    def effective(self) -> int:
        return int(self.limit if self.ceiling is None else min(self.limit, self.ceiling))

    def of(self, holder: str) -> Holder:
        return next((entry for entry in self.holders if entry.id == holder), Holder(id=holder, share=0, may_use=0, wants=0))


def share_update(request: SlotRequest) -> list[MongoDocument]:
    """The update, to be made with upsert on the document of the kind."""
    mine = {"$filter": {"input": {"$ifNull": ["$holders", []]}, "cond": {"$eq": ["$$this.id", request.holder]}}}
    slots = {"$floor": {"$min": [request.limit, {"$ifNull": ["$ceiling", request.limit]}]}}
    wanting = {"$concatArrays": ["$holders", [{"wants": request.wants, "weight": request.weight}]]}
    had_none = {"$eq": ["$before.share", 0]}  # and wanted a slot, when it last asked
    return [
        {"$set": {"before": {"$first": mine}, "holders": _others(request), "limit": request.limit, **_pace(request)}},
        {"$set": {"slots": slots, "level": 0, "wanting": wanting}},
        {"$set": {"free": {"$max": [0, {"$subtract": ["$slots", {"$sum": "$holders.share"}]}]}}},
        *[{"$set": {"level": _level()}}] * ROUNDS,
        {"$set": {"fair": {"$multiply": ["$level", request.weight]}}},
        {"$set": {"without_since": {"$cond": [had_none, "$before.without_since", "$$NOW"]}}},
        {"$set": {"grant": {"$toInt": {"$min": [request.wants, "$free", _cap(request)]}}}},
        {"$set": {"holders": {"$concatArrays": ["$holders", [_entry(request)] if request.wants else []]}}},
        {"$unset": ["before", "slots", "level", "wanting", "free", "fair", "without_since", "grant"]},
    ]


def _others(request: SlotRequest) -> MongoDocument:
    alive = {"$and": [{"$ne": ["$$this.id", request.holder]}, {"$gt": ["$$this.expires_at", "$$NOW"]}]}
    return {"$filter": {"input": {"$ifNull": ["$holders", []]}, "cond": alive}}


def _pace(request: SlotRequest) -> MongoDocument:
    """AIMD: the ceiling is lowered once for all 429s of calls that were in flight together, and raised by one.

    It is lowered to the calls that stayed in flight, but not below ``LEAST`` of it: a quota that is used up refuses all calls.
    A 429 after a raise has found the provider's ceiling: it only takes the raise back, and that ceiling stays for a while.
    """
    blocked_until = {"$max": ["$blocked_until", {"$add": ["$$NOW", request.pause]}]}
    changed = _lifted(request) if request.refused_ago is None else _lowered(request, request.refused_ago)
    ceiling = changed.pop("ceiling")
    return {
        **changed,
        "ceiling": {"$cond": [{"$lt": [ceiling, request.limit]}, ceiling, None]},
        "blocked_until": blocked_until,
        "pause_ms": {"$max": [0, {"$subtract": [blocked_until, "$$NOW"]}]},
    }


def _lowered(request: SlotRequest, refused_ago: int) -> MongoDocument:
    began = {"$subtract": ["$$NOW", refused_ago]}
    news = {"$or": [{"$eq": [{"$ifNull": ["$lowered_at", None]}, None]}, {"$gte": [began, "$lowered_at"]}]}
    found = {"$and": [news, {"$gt": ["$lifted_at", "$lowered_at"]}, _IS_LOWERED]}
    most: MongoDocument = {"$min": [request.limit, {"$ifNull": ["$ceiling", request.limit]}]}
    before = {"$cond": [news, most, {"$ifNull": ["$lowered_from", most]}]}
    less = {"$cond": [news, {"$multiply": [most, DECREASE]}, most]}
    fitting = {"$add": [request.fits, {"$sum": {"$map": {"input": _others(request), "in": "$$this.share"}}}]}
    burst = {"$max": [{"$multiply": [before, LEAST]}, {"$min": [less, fitting]}]}
    return {
        "ceiling": {"$max": [1, {"$cond": [found, {"$subtract": [most, 1]}, burst]}]},
        "lowered_from": before,
        "held_until": {"$cond": [found, {"$add": ["$$NOW", request.hold]}, {"$ifNull": ["$held_until", None]}]},
        "lowered_at": {"$cond": [news, "$$NOW", "$lowered_at"]},
        "successes": 0,
    }


def _lifted(request: SlotRequest) -> MongoDocument:
    """Time raises it only while calls are made: an idle hour is no evidence of what the provider would accept."""
    held = {"$lt": ["$$NOW", {"$ifNull": ["$held_until", None]}]}
    successes = {"$cond": [held, 0, {"$add": [{"$ifNull": ["$successes", 0]}, request.succeeded]}]}
    rested = {"$gte": [{"$subtract": ["$$NOW", {"$max": ["$lowered_at", "$lifted_at"]}]}, request.rise]}
    enough = {"$or": [{"$gte": [successes, SUCCESSES_PER_INCREASE]}, {"$and": [request.in_use > 0, rested]}]}
    lift = {"$and": [_IS_LOWERED, {"$not": [held]}, enough]}
    return {
        "ceiling": {"$cond": [lift, {"$add": ["$ceiling", 1]}, {"$ifNull": ["$ceiling", request.limit]}]},
        "lifted_at": {"$cond": [lift, "$$NOW", {"$ifNull": ["$lifted_at", None]}]},
        "successes": {"$cond": [{"$or": [lift, {"$not": [_IS_LOWERED]}]}, 0, successes]},
    }


_WEIGHT = {"$ifNull": ["$$this.weight", 1.0]}
_PART = {"$multiply": ["$level", _WEIGHT]}
"""A process's part of the slots, not rounded."""


def _level() -> MongoDocument:
    """Slots for each unit of weight: of what those leave that want no more than their part by the level before."""
    satisfied = {"$lte": ["$$this.wants", _PART]}
    given = {"$sum": {"$map": {"input": "$wanting", "in": {"$cond": [satisfied, "$$this.wants", 0]}}}}
    others = {"$sum": {"$map": {"input": "$wanting", "in": {"$cond": [satisfied, 0, _WEIGHT]}}}}
    left = {"$subtract": ["$slots", given]}
    return {"$let": {"vars": {"others": others}, "in": {"$cond": ["$$others", {"$divide": [left, "$$others"]}, "$level"]}}}


def _cap(request: SlotRequest) -> MongoDocument:
    short = {"$gt": ["$$this.wants", "$$this.share"]}
    below = {"$lt": ["$$this.share", {"$max": [1, {"$floor": _PART}]}]}
    anybody_short = {"$gt": [_size("$holders", short), 0]}
    anybody_below = {"$gt": [_size("$holders", {"$and": [short, below]}), 0]}
    cap: MongoDocument = {"$cond": [anybody_below, {"$floor": "$fair"}, {"$ceil": "$fair"}]}
    if request.in_use == 0:  # a part of less than one slot: the process that has been without a slot for longest comes first
        longer = {"$gt": [_waited("$$this.without_since", _WEIGHT), _waited("$without_since", request.weight)]}
        without = {"$and": [{"$eq": ["$$this.share", 0]}, longer]}
        due = {"$subtract": [{"$min": ["$$this.wants", {"$floor": _PART}]}, "$$this.share"]}  # to processes of larger parts
        owed = {"$sum": {"$map": {"input": "$holders", "in": {"$max": [0, due]}}}}
        my_turn = {"$cond": [{"$lt": [_size("$holders", without), {"$subtract": ["$free", owed]}]}, 1, 0]}
        cap = {"$cond": [{"$lt": ["$fair", 1]}, my_turn, cap]}
    return {"$cond": [anybody_short, cap, request.limit]}


def _waited(since: str, weight: object) -> MongoDocument:
    return {"$multiply": [{"$subtract": ["$$NOW", since]}, weight]}


def _entry(request: SlotRequest) -> MongoDocument:
    return {
        "id": request.holder,
        "share": {"$max": [request.keeps, "$grant"]},
        "may_use": "$grant",
        "wants": request.wants,
        "weight": request.weight,
        "without_since": "$without_since",
        "expires_at": {"$add": ["$$NOW", request.lease]},
    }


def _size(array: str, condition: MongoDocument) -> MongoDocument:
    return {"$size": {"$filter": {"input": array, "cond": condition}}}
