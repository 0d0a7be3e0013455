"""The record of one attempt at a call (R5): its note while it is in flight, its document afterwards, and its line in the log."""

import logging
from datetime import UTC, datetime, timedelta

from pymongo import InsertOne, UpdateOne

from generia_assets.durable.leases.changes import FencingToken
from resources.gateway.calls import CUT_OFF, Call, CallOutcome
from resources.mongodb.connection import MongoDocument
from resources.redaction import kept, kept_data

logger = logging.getLogger(__name__)


def in_flight_note(run_id: str, generation: str, call: Call[object]) -> MongoDocument:
    """The attempt in the status record while it is in flight: enough to record it as cut off if its run dies."""
    return {
        "api_type": call.api.value,
        "task_id": call.task_id,
        "generation": generation,
        "run_id": run_id,
        "request_type": call.request_type,
        "labels": dict(call.labels),
        "reserved_usd": call.worst_case_usd,
        "created_at": datetime.now(UTC),
    }


def request_record(
    token: FencingToken, generation: str, attempt_id: str, call: Call[object], outcome: CallOutcome
) -> InsertOne[MongoDocument]:
    """The attempt as the collection of requests has it."""
    document = {
        "_id": attempt_id,
        **in_flight_note(token.run_id, generation, call),
        "world_id": token.world_id,
        "request_data": kept_data(call.request_data),
        "response_data": kept_data(outcome.data),
        "error": kept(outcome.error) if outcome.error else None,
        "outcome": outcome.outcome,
        "cost_usd": outcome.cost_usd,
        "service_tier": outcome.data.get("service_tier")
        or call.labels.get("service_tier"),  # that served it, else that was asked for
        "tokens": dict(vars(outcome.tokens)),
        "duration_ms": outcome.duration_ms,
        "waited_ms": outcome.waited_ms,
        "created_at": datetime.now(UTC) - timedelta(milliseconds=outcome.duration_ms),
    }
    return InsertOne(document)


def cut_off_record(world_id: str, attempt_id: str, note: MongoDocument) -> UpdateOne:
    """The same of an attempt whose run died: its worst case counts as its cost."""
    document = {
        **note,
        "world_id": world_id,
        "outcome": CUT_OFF,
        "error": "the run died before the answer was recorded",
        "cost_usd": note["reserved_usd"],
        "request_data": None,
        "response_data": None,
        "duration_ms": 0,
    }
    return UpdateOne({"_id": attempt_id}, {"$setOnInsert": document}, upsert=True)


def log_attempt(attempt_id: str, call: Call[object], outcome: CallOutcome) -> None:
    """Log how the attempt ended, at DEBUG. Neither prompt nor answer is in the line: they are in the record."""
    if not logger.isEnabledFor(logging.DEBUG):
        return
    tokens = outcome.tokens
    logger.debug(
        "call %s %s of %s %s, attempt %s: %s in %d ms after %d ms of waiting, tokens %d in (%d cached) %d out, $%.6f%s",
        *(call.api.value, call.request_type, call.labels.get("task_type", call.task_id), call.labels.get("key", ""), attempt_id),
        *(outcome.outcome, outcome.duration_ms, outcome.waited_ms, tokens.prompt, tokens.cached, tokens.output, outcome.cost_usd),
        f": {outcome.error}" if outcome.error else "",
    )
