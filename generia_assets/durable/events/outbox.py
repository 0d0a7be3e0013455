"""The outbox: live events become durable in the same transaction as the change that they describe.

Three fields of the status record: ``events_seq`` (the last number given), ``events_sent`` (the last one that arrived), and
``events_pending``, there while the two differ, so that an index finds the few worlds that owe something. A number is given by the
database with the change itself; a transaction that is undone takes its number back, so numbers have no gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pymongo import DESCENDING
from pymongo.client_session import ClientSession

from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.events.events import LiveEvent, Progress, Standing
from resources.mongodb.connection import MongoDatabase, MongoDocument

EventT = TypeVar("EventT", bound=LiveEvent)

RECORD = dict.fromkeys(
    {*Progress.model_fields, "events_seq", "events_sent", "parked", "owner.run_id", "llm_cost_total", "image_cost_total"}
    - (set(LiveEvent.model_fields) - {"generation"})
    - {"cost_usd"},
    1,
)
"""What of the status record events are made of."""


AT_ONCE = 500
"""Worlds that one transaction changes at most."""


def numbering(events: int) -> dict[str, MongoDocument]:
    """What the update of the status record must hold so that so many events get their numbers."""
    return {"$inc": {"events_seq": events}, "$set": {"events_pending": True}} if events else {}


def outbox(events: Sequence[LiveEvent], record: MongoDocument, traceparent: str = "") -> list[MongoDocument]:
    """The events as documents, with the last numbers that the record has given.

    ``record``: the status record (``RECORD``) after this update, in the same transaction. ``traceparent``: the trace context of
    those that happened in none.
    """
    rows = []
    for number, event in enumerate(events, record["events_seq"] - len(events) + 1):
        numbered = in_its_place(event, record, number)
        row = {"_id": f"{record['_id']}:{number:010d}", "world_id": record["_id"], "seq": number, "at": event.at}
        rows.append({**row, "event": numbered.model_dump(mode="json"), "traceparent": event.traceparent or traceparent})
    return rows


def in_its_place(event: EventT, record: MongoDocument, number: int) -> EventT:
    """The event with this number of its world; if it tells where the world stands, as the status record says at that moment."""
    standing = Standing.model_validate({**record, "cost_usd": record["llm_cost_total"] + record["image_cost_total"]})
    told = {name: value for name, value in standing if name in type(event).model_fields}
    run_id = (record.get("owner") or {}).get("run_id")
    place = {"world_id": record["_id"], "generation": record.get("generation"), "run_id": run_id, "seq": number}
    return event.model_copy(update=told | place)


def change_with_event(database: MongoDatabase, matching: MongoDocument, values: MongoDocument, event: LiveEvent) -> int:
    """Change the status records of the worlds that match, which no run owns, each in one transaction with its event.

    ``AT_ONCE`` worlds in a transaction. A changed world must not match again. Returns how many were changed.
    """
    number, changed = numbering(1), 0
    update = {"$inc": number["$inc"], "$set": {**values, **number["$set"]}}

    def apply(session: ClientSession) -> int:
        worlds = database[STATUS].find(matching, {"_id": 1}, session=session).limit(AT_ONCE)
        found = {"_id": {"$in": [one["_id"] for one in worlds]}}
        database[STATUS].update_many(found, update, session=session)
        rows = [row for record in database[STATUS].find(found, RECORD, session=session) for row in outbox([event], record)]
        if rows:
            database[WORLD_EVENTS].insert_many(rows, session=session)
        return len(rows)

    with database.client.start_session() as session:
        while (count := session.with_transaction(apply)) == AT_ONCE:
            changed += count
    return changed + count


def begin_with_event(database: MongoDatabase, record: MongoDocument, event: LiveEvent) -> bool:
    """Make a world's status record with its first event, in one transaction; False where there is one, which stands.

    Where an earlier record was lost and its events were not, the numbers go on: readers skip a number that they have seen.
    """
    world_id = record["_id"]

    def apply(session: ClientSession) -> bool:
        last = database[WORLD_EVENTS].find_one({"world_id": world_id}, {"seq": 1}, sort=[("seq", DESCENDING)], session=session)
        sent = int(last["seq"]) if last is not None else 0
        first = {name: value for name, value in record.items() if name != "_id"}
        first |= {"events_seq": sent + 1, "events_sent": sent, "events_pending": True}
        made = database[STATUS].update_one({"_id": world_id}, {"$setOnInsert": first}, upsert=True, session=session)
        if made.upserted_id is not None:
            database[WORLD_EVENTS].insert_many(outbox([event], {"_id": world_id, **first}), session=session)
        return made.upserted_id is not None

    with database.client.start_session() as session:
        return session.with_transaction(apply)
