"""A step's work on the world, from Dagster's thread: it waits for the run's event loop, and records failures.

Here: the call from one thread to the other, cancelling the work when Dagster's thread is interrupted, and the translation of
exceptions into the world's state and into Dagster's ``Failure``, whose description names what to do.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import dagster as dg
from anyio.from_thread import BlockingPortal

from generia_assets.content.yaml_files import ContentError
from generia_assets.dagster_instance import is_of_dagsters_storage
from generia_assets.durable.leases.ownership import LeaseHeldError
from generia_assets.durable.orders.decisions import RefusedRunError
from generia_assets.durable.orders.order import OrderError
from generia_assets.durable.status import STOPPED_MESSAGE, SuspendReason
from generia_assets.durable.tasks.opening import TooManyRecoveriesError
from generia_assets.durable.tasks.runner import TaskFailedError
from generia_assets.durable.tasks.session import WorldSession
from generia_assets.queries.completeness import NotWholeError
from generia_assets.tasks.task_definition import UnfitTaskError
from resources import tracing
from resources.gateway.outcomes import BudgetExhaustedError, FatalCallError, LeaseLostError, OutageTimeoutError
from resources.mongodb.connection import MongoUnavailableError, is_outage

ResultT = TypeVar("ResultT")

LONGEST_STOP_SECONDS = 20.0
"""Seconds to wait for cancelled work. Work that takes longer is abandoned: the fencing token rejects its writes."""


class Worker:
    """Runs coroutines of the world's session on the run's event loop and waits for them on Dagster's thread."""

    def __init__(self, portal: BlockingPortal, opened: Callable[[], Awaitable[WorldSession]]) -> None:
        self._portal = portal
        self._opened = opened
        self.session: WorldSession | None = None

    @property
    def acquired(self) -> WorldSession:
        """The session of the world, whose lease this run holds."""
        if self.session is None:
            raise RuntimeError("this step has not acquired its world's lease yet")
        return self.session

    def run(self, work: Callable[[WorldSession], Awaitable[ResultT]]) -> ResultT:
        """Acquire the world's lease if this run has not yet, and do this work: it stops when the lease is lost.

        An interruption of Dagster's thread cancels the work and waits until it has stopped.
        """
        return self._wait(lambda: self._work(work))

    def record(self, change: Callable[[WorldSession], Awaitable[ResultT]]) -> ResultT | None:
        """Record a change of the world's state, if this run holds its lease.

        A second signal does not cancel this: the world would be left without its last state.
        """
        session = self.session
        return None if session is None else self._wait(lambda: change(session), stop=False)

    async def _work(self, work: Callable[[WorldSession], Awaitable[ResultT]]) -> ResultT:
        self.session = session = await self._opened()
        with tracing.within(session.span.traceparent):
            return await session.work(work(session))

    def _wait(self, work: Callable[[], Awaitable[ResultT]], *, stop: bool = True) -> ResultT:
        ended = threading.Event()

        async def watched() -> ResultT:
            try:
                return await work()
            finally:
                ended.set()

        future: Future[ResultT] = self._portal.start_task_soon(watched)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                if stop:
                    future.cancel()  # the future is cancelled at once; the work itself still has to stop
                ended.wait(LONGEST_STOP_SECONDS)
            raise


_EXPLAINS_ITSELF = (
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
    BudgetExhaustedError,
)
"""Errors whose message explains what happened and what to do; others are bugs and keep their traceback."""


def record_failure(worker: Worker, error: BaseException, *, stopped_by_person: bool) -> None:
    """Record the failure as the world's state, and raise ``dg.Failure`` for an error whose message is enough.

    An interruption suspends the world when a person asked for it; after a deploy the watchdog resumes it.
    """
    cause = root_cause(error)
    if isinstance(cause, (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)):
        if stopped_by_person:
            worker.record(lambda session: session.suspend(STOPPED_MESSAGE, SuspendReason.STOPPED))
        else:
            worker.record(lambda session: session.release("interrupted; it resumes automatically"))
        return
    message = str(cause) if isinstance(cause, _EXPLAINS_ITSELF) else f"{type(cause).__name__}: {cause}"
    if isinstance(cause, TaskFailedError) and worker.session is not None:
        world_id = worker.session.generation.world_id
        message = f"{message.rstrip('.')}. To try again what failed: generia resume {world_id} --retry-failed"
    if isinstance(cause, LeaseLostError):
        raise dg.Failure(str(cause), allow_retries=False) from cause
    storage = is_of_dagsters_storage(cause)
    if storage or (isinstance(cause, OutageTimeoutError) and cause.may_last):
        message = f"Dagster's own storage failed ({getattr(cause, 'orig', cause)})" if storage else str(cause)
        message = worker.record(lambda session: session.suspend_for_retry(" ".join(message.split()).rstrip("."))) or message
        raise dg.Failure(message, allow_retries=False) from cause
    if isinstance(cause, OutageTimeoutError) or (is_outage(cause) and worker.session is not None):
        # The driver's own message lists sockets and topologies.
        ours = isinstance(cause, (OutageTimeoutError, MongoUnavailableError))
        message = str(cause).rstrip(".") if ours else f"MongoDB does not answer ({type(cause).__name__})"
        wait = cause.retry_after if isinstance(cause, OutageTimeoutError) else None  # as the provider announced it
        until = None if wait is None else datetime.now(UTC) + timedelta(seconds=wait)
        again = f". It is tried again at {until:%Y-%m-%d %H:%M} UTC" if until else ""
        worker.record(lambda session: session.suspend(f"{message}{again}", SuspendReason.OUTAGE, until=until))
        raise dg.Failure(
            f"{message}. The world is suspended and can be resumed; nothing is lost{again}.", allow_retries=False
        ) from cause
    reason = SuspendReason.BUDGET if isinstance(cause, BudgetExhaustedError) else None
    worker.record(lambda session: session.fail(message, reason))
    if isinstance(cause, _EXPLAINS_ITSELF):
        raise dg.Failure(message, allow_retries=False) from cause


def root_cause(error: BaseException) -> BaseException:
    """The most important error of a task group: one that stops the whole world comes before one of an item."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    order = (LeaseLostError, BudgetExhaustedError, FatalCallError, OutageTimeoutError)
    return root_cause(next(filter(None, map(error.subgroup, order)), error).exceptions[0])
