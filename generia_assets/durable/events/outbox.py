"""The outbox: live events become durable in the same transaction as the change that they describe.

Three fields of the status record: ``events_seq`` (the last number given), ``events_sent`` (the last one that arrived), and
``events_pending``, there while the two differ, so that an index finds the few worlds that owe something. A number is given by the
database with the change itself; a transaction that is undone takes its number back, so numbers have no gaps.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import DESCENDING, ReturnDocument
from pymongo.client_session import ClientSession

from generia_assets.durable.collections import STATUS, WORLD_EVENTS
from generia_assets.durable.events.events import LiveEvent, Progress, Standing
from resources.mongodb.connection import MongoDatabase, MongoDocument

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
    """The events as documents; ``record`` is the status record (``RECORD``) after this update, in the same transaction.

    ``traceparent``: the trace context of those that happened in none.
    """
    return [document(event, traceparent) for event in numbered(events, record)]


def numbered(events: Sequence[LiveEvent], record: MongoDocument) -> list[LiveEvent]:
    """The events at their places: the last numbers that this record has given."""
    standing, generation = standing_of(record), record.get("generation")
    first, run_id = record["events_seq"] - len(events) + 1, run_of(record)
    return [event.numbered(record["_id"], generation, first + place, standing, run_id=run_id) for place, event in enumerate(events)]


def run_of(record: MongoDocument) -> str | None:
    return (record.get("owner") or {}).get("run_id")


def standing_of(record: MongoDocument) -> Standing:
    return Standing.model_validate({**record, "cost_usd": record["llm_cost_total"] + record["image_cost_total"]})


def document(event: LiveEvent, traceparent: str = "") -> MongoDocument:
    """A numbered event as it is kept. ``traceparent``: see ``outbox``."""
    return {
        "_id": f"{event.world_id}:{event.seq:010d}",
        "world_id": event.world_id,
        "seq": event.seq,
        "event": event.model_dump(mode="json"),
        "at": event.at,
        "traceparent": event.traceparent or traceparent,
    }


def change_with_event(database: MongoDatabase, matching: MongoDocument, values: MongoDocument, event: LiveEvent) -> bool:
    """Change the status record of a world that no run owns, with its event, in one transaction; False where nothing matches."""
    number = numbering(1)
    update = {"$inc": number["$inc"], "$set": {**values, **number["$set"]}}

    def apply(session: ClientSession) -> bool:
        record = database[STATUS].find_one_and_update(
            matching, update, projection=RECORD, return_document=ReturnDocument.AFTER, session=session
        )
        if record is not None:
            database[WORLD_EVENTS].insert_many(outbox([event], record), session=session)
        return record is not None

    with database.client.start_session() as session:
        return session.with_transaction(apply)


def change_all_with_event(database: MongoDatabase, matching: MongoDocument, values: MongoDocument, event: LiveEvent) -> int:
    """The same for all worlds that match, ``AT_ONCE`` in a transaction; returns how many. A changed world must not match again."""
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
        while count := session.with_transaction(apply):
            changed += count
    return changed


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
            first_event = event.numbered(world_id, None, sent + 1, standing_of(record))
            database[WORLD_EVENTS].insert_one(document(first_event), session=session)
        return made.upserted_id is not None

    with database.client.start_session() as session:
        return session.with_transaction(apply)
