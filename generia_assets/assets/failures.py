"""What a step's failure means for its world: failed, parked for later, stopped by a person, or no longer ours.

Here: the translation of exceptions into the world's state and into Dagster's ``Failure``, whose description says what to do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from generia_assets.assets.worker import Worker
from generia_assets.content.mistakes import ContentError
from generia_assets.durable.leases.ownership import LeaseHeldError
from generia_assets.durable.orders.decisions import RefusedRunError
from generia_assets.durable.orders.order import OrderError
from generia_assets.durable.status import SuspendReason
from generia_assets.durable.tasks.control import STOPPED_MESSAGE
from generia_assets.durable.tasks.runner import TaskFailedError
from generia_assets.durable.tasks.session import TooManyRecoveriesError
from generia_assets.queries.completeness import NotWholeError
from generia_assets.tasks.task_definition import UnfitTaskError
from resources.gateway.outcomes import BudgetExhaustedError, FatalCallError, LeaseLostError, OutageTimeoutError
from resources.mongodb.connection import MongoUnavailableError, is_outage

_SPEAKS_FOR_ITSELF = (
    TaskFailedError,
    UnfitTaskError,
    FatalCallError,
    MongoUnavailableError,
    LeaseHeldError,
    TooManyRecoveriesError,
    OrderError,
    LookupError,
    RefusedRunError,
    NotWholeError,
    ContentError,
)
"""Errors whose message tells a person what happened and what to do; others are bugs and keep their traceback."""


def settle_failure(worker: Worker, error: BaseException, *, stopped_by_person: bool) -> None:
    """Make the failure the world's state, and raise ``dg.Failure`` where its message is all a person needs.

    An interruption parks the world when a person asked for it; a deploy leaves it to be taken up by the watchdog.
    """
    cause = root_cause(error)
    if isinstance(cause, (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)):
        if stopped_by_person:
            worker.say(lambda session: session.suspend(STOPPED_MESSAGE, SuspendReason.STOPPED))
        else:
            worker.say(lambda session: session.release("interrupted; it is taken up again by itself"))
        return
    message = str(cause) if isinstance(cause, (*_SPEAKS_FOR_ITSELF, BudgetExhaustedError)) else f"{type(cause).__name__}: {cause}"
    if isinstance(cause, TaskFailedError) and worker.session is not None:
        world_id = worker.session.assignment.world_id
        message = f"{message.rstrip('.')}. To try again what failed: generia resume {world_id} --retry-failed"
    if isinstance(cause, LeaseLostError):
        raise dg.Failure(str(cause), allow_retries=False) from cause
    storage = is_of_dagsters_storage(cause)
    if storage or (isinstance(cause, OutageTimeoutError) and cause.may_last):
        said = f"Dagster's own storage failed ({getattr(cause, 'orig', cause)})" if storage else str(cause)
        said = worker.say(lambda session: session.suspend_for_retry(" ".join(said.split()).rstrip("."))) or said
        raise dg.Failure(said, allow_retries=False) from cause
    if isinstance(cause, OutageTimeoutError) or (is_outage(cause) and worker.session is not None):
        # The driver's own words are about sockets and topologies.
        by_us = isinstance(cause, (OutageTimeoutError, MongoUnavailableError))
        said = str(cause).rstrip(".") if by_us else f"MongoDB does not answer ({type(cause).__name__})"
        until = over_at(cause)
        again = f". It is tried again at {until:%Y-%m-%d %H:%M} UTC" if until else ""
        worker.say(lambda session: session.suspend(f"{said}{again}", SuspendReason.OUTAGE, until=until))
        raise dg.Failure(f"{said}. The world is parked and can be resumed; nothing is lost{again}.", allow_retries=False) from cause
    if isinstance(cause, BudgetExhaustedError):
        worker.say(lambda session: session.fail(message, SuspendReason.BUDGET))
    else:
        worker.say(lambda session: session.fail(message))
    if isinstance(cause, (*_SPEAKS_FOR_ITSELF, BudgetExhaustedError)):
        raise dg.Failure(message, allow_retries=False) from cause


def is_of_dagsters_storage(error: BaseException) -> bool:
    """Whether Dagster could not read or write its own records (a locked SQLite, a PostgreSQL that is away)."""
    return isinstance(error, (sqlite3.OperationalError, SQLAlchemyError))


def over_at(outage: BaseException) -> datetime | None:
    """When the provider itself said that the outage would be over, if it did."""
    wait = outage.retry_after if isinstance(outage, OutageTimeoutError) else None
    return None if wait is None else datetime.now(UTC) + timedelta(seconds=wait)


def root_cause(error: BaseException) -> BaseException:
    """The error that matters out of a task group's: what stops a whole world comes before what one item did."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = list(_leaves(error))
    order = (LeaseLostError, BudgetExhaustedError, FatalCallError, OutageTimeoutError)
    return next((leaf for kind in order for leaf in leaves if isinstance(leaf, kind)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
