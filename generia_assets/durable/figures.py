"""What processes record for monitors alone, one small document each in collection ``fleet``.

The pages' server has neither Kafka nor Dagster's storage, and reads these figures from here (queries/fleet.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import NonNegativeInt

from generia_assets.content.documents import FrozenModel
from generia_assets.durable.collections import FLEET
from resources.mongodb.connection import MongoDatabase
from resources.mongodb.stored import Moment

ORDERS_READ = "orders-read"
DEAD_LETTERS = "dead-letters"
CHECKS = "checks"
MOST_OPEN_LETTERS = 1_000
MOST_FAILED_CHECKS = 10


class OrdersRead(FrozenModel):
    """The last tick of the sensor ``kafka_orders``.

    Attributes:
        at: When it ended.
        lag: Messages that are not read, by partition; None where Kafka did not answer.
        runs_queued: Runs in Dagster's queue.
        oldest_queued_at: When the first of them was put there.
    """

    at: Moment
    lag: dict[int, NonNegativeInt] | None
    runs_queued: int
    oldest_queued_at: Moment | None


class OpenLetter(FrozenModel):
    """A dead letter that was not sent again. ``place``: where the original lies."""

    place: str
    at: Moment


class DeadLetterFigures(FrozenModel):
    """Dead letters since the installation, and the last ``MOST_OPEN_LETTERS`` of those that were not sent again.

    One whose tick died before its end is counted twice.
    """

    total: int = 0
    open: tuple[OpenLetter, ...] = ()


class FailedCheck(FrozenModel):
    """An asset check that failed. ``severity``: error or warn."""

    world_id: str
    check: str
    severity: str
    at: Moment


class CheckFigures(FrozenModel):
    """Failed checks since the installation by severity, and the last ``MOST_FAILED_CHECKS`` errors."""

    error: int = 0
    warn: int = 0
    errors: tuple[FailedCheck, ...] = ()


def record_orders_read(database: MongoDatabase, tick: OrdersRead) -> None:
    lag = None if tick.lag is None else {str(partition): messages for partition, messages in tick.lag.items()}
    database[FLEET].replace_one({"_id": ORDERS_READ}, {**tick.model_dump(), "lag": lag}, upsert=True)


def count_dead_letters(database: MongoDatabase, places: Sequence[str]) -> None:
    letters = [{"place": place, "at": datetime.now(UTC)} for place in places]
    kept = {"$each": letters, "$slice": -MOST_OPEN_LETTERS}
    database[FLEET].update_one({"_id": DEAD_LETTERS}, {"$inc": {"total": len(letters)}, "$push": {"open": kept}}, upsert=True)


def letter_sent_again(database: MongoDatabase, place: str) -> None:
    database[FLEET].update_one({"_id": DEAD_LETTERS}, {"$pull": {"open": {"place": place}}})


def record_failed_check(database: MongoDatabase, failed: FailedCheck) -> None:
    change = {"$inc": {failed.severity: 1}}
    if failed.severity == "error":
        change["$push"] = {"errors": {"$each": [failed.model_dump()], "$slice": -MOST_FAILED_CHECKS}}  # type: ignore[dict-item]
    database[FLEET].update_one({"_id": CHECKS}, change, upsert=True)
