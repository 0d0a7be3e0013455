"""Opening a session: a run acquires its world, continues its generation or starts one, and is ready to work."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from pymongo import AsyncMongoClient

from generia_assets.content.plan import tier_of_calls
from generia_assets.durable.calls.clients import TaskImageClient, TaskTextClient
from generia_assets.durable.calls.ledger import CALL_LIMIT, BudgetLedger, item_limits, lost_call_allowance
from generia_assets.durable.calls.pictures import PendingPictures, ReferencePictures
from generia_assets.durable.calls.platform_client import TaskPlatformClient
from generia_assets.durable.calls.publications import Publications
from generia_assets.durable.calls.task_calls import Checkpoints, Providers, TaskCalls, TaskContext
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.events.progress import StageTracker
from generia_assets.durable.events.relay import Relay
from generia_assets.durable.leases.brake import hold_if_braked
from generia_assets.durable.leases.changes import Change
from generia_assets.durable.leases.commits import Commits
from generia_assets.durable.leases.ownership import acquire_lease, release_lease, renew_lease
from generia_assets.durable.orders.decisions import Assignment, Choice, RefusedRunError, choose, goes_on_by_itself
from generia_assets.durable.orders.order import OrderError, parse_stored
from generia_assets.durable.orders.records import mark_given_up
from generia_assets.durable.orders.workload import Workload, request_of
from generia_assets.durable.status import State, WorldStatus, status_of
from generia_assets.durable.tasks.generations import Generation, begin, end, generation_of, new_generation
from generia_assets.durable.tasks.runner import TaskRunner
from generia_assets.durable.tasks.session import WorldSession
from generia_assets.settings import Settings
from generia_assets.tasks.clients import TaskClients
from resources import tracing
from resources.cancellation import cancel_and_wait
from resources.images import takes_references
from resources.kafka.producer import InOrder
from resources.mongodb.connection import AsyncMongoDatabase, MongoDocument, retry_on_outage

logger = logging.getLogger(__name__)

LAST_ANSWERS_SECONDS = 10.0
"""How long a run whose world was stopped waits for the answers to its calls in flight: they are paid for."""


class TooManyRecoveriesError(RuntimeError):
    """The world's run died too often; something about the world kills its process."""


async def open_session(
    client: AsyncMongoClient[MongoDocument],
    database: AsyncMongoDatabase,
    providers: Providers,
    run: Assignment,
    settings: Settings,
    *,
    run_is_over: Callable[[str], bool],
    connect_events: Callable[[], InOrder],
    forget_staged: Callable[[], Awaitable[None]],
    end_run: Callable[[], Awaitable[None]],
) -> WorldSession:
    """Acquire the world, continue its generation or start one, and be ready to work.

    Args:
        client: The client of ``database``; the session writes in a client session of its own.
        run: The run, and what it is to do.
        settings: Lease, outage timeout, limits.
        run_is_over: Asks Dagster whether a run has ended.
        connect_events: Connects to the topic of live events.
        forget_staged: Deletes documents that another generation has staged: done before this one begins, so that no death can
            leave them to it.
        end_run: Terminates this run, as a person does in Dagster's pages.

    Returns:
        The session; close it.

    Raises:
        RefusedRunError: The run must not do what it was started for; nothing has been changed.
        OrderError: The order is of something that is not in the world.
        LookupError: Nobody ordered the world.
        LeaseHeldError: Another run owns the world and lives.
        TooManyRecoveriesError: The world's run died too often.
        OutageTimeoutError: MongoDB does not answer.
    """
    world_id = run.world_id
    await _choose(database, run, settings)  # at once, if the answer is no: a world at work is waited for in vain
    writing = client.start_session()
    token = await acquire_lease(
        database,
        world_id,
        run.run_id,
        writing,
        lease_seconds=settings.world_lease_seconds,
        run_is_over=run_is_over,
        outage_timeout=settings.patience_seconds,
    )
    relay = Relay(database, world_id, connect_events)
    span: tracing.Span | None = None
    commits = Commits(writing, database, token, outage_timeout=settings.patience_seconds, on_written=relay.changed)
    held, lease, weigh = asyncio.Event(), settings.world_lease_seconds, providers.gateway.weigh
    renewal = asyncio.create_task(
        renew_lease(database, token, lease_seconds=lease, on_priority=weigh, held=held, commits=commits), name=f"lease:{world_id}"
    )
    try:
        choice = await _choose(database, run, settings)
        status, workload = choice.status, None
        if choice.generation is not None:
            generation = generation_of(choice, choice.generation, run)
        else:
            if run.parameters is not None:
                ordered = {**run.parameters.at_tier(settings.service_tier).document(), "task_id": status.order_task}
                status = status.model_copy(update={"parameters": ordered, "priority": run.parameters.priority})
                commits.enqueue(Change(values={"priority": status.priority}))
            workload = await _workload(commits, run, status)
            generation = await commits.retry(partial(new_generation, database, choice, run, workload))
        providers.gateway.weigh(status.priority)
        about = {"generia.world.id": world_id, "generia.run.id": run.run_id, "generia.generation.id": generation.id}
        span = tracing.Span("run", {**about, "generia.generation.continued": generation.continued}, parent=generation.traceparent)
        generation = replace(generation, traceparent=generation.traceparent or span.traceparent)
        commits.traceparent = relay.traceparent = span.traceparent
        logger.debug("world %s: the trace context of this run is %s", world_id, span.traceparent or "none")
        parameters = parse_stored(status.parameters)
        limits = workload.call_limits if workload else {api: getattr(status, name) for api, name in CALL_LIMIT.items()}
        lost = status.calls_excused if generation.continued else 0
        ledger = BudgetLedger(
            database,
            commits,
            generation.id,
            lost_call_allowance=lost_call_allowance(sum(limits.values()) - lost),
            lost_calls=lost,
            item_limits=item_limits(limits, settings.budget_spare),
            held=held,
        )
        await ledger.close_cut_off()
        stages = StageTracker(generation.stages)
        await _count_recovery(database, commits, generation, stages, status, settings.max_takeovers)
        if not generation.continued or generation.finished:
            await forget_staged()
        await begin(commits, generation, run, workload, status, stages)
        if not generation.finished and await commits.retry(partial(hold_if_braked, database, token)):
            held.set()  # no call is sent any more, whatever the last write has shown
    except BaseException as error:
        if span is not None:
            span.fail(type(error).__name__)
            span.end()
        await cancel_and_wait(renewal)
        await commits.aclose()
        await release_lease(database, token)
        await relay.aclose()
        raise
    publications, pending = Publications(database, commits, settings.platform), PendingPictures(settings.pending_dir, world_id)
    references = ReferencePictures()

    def clients(task: TaskContext, checkpoints: Checkpoints) -> TaskClients:
        calls = TaskCalls(task, checkpoints, providers, ledger)
        platform = TaskPlatformClient(world_id, calls, publications)
        return TaskClients(TaskTextClient(calls), TaskImageClient(calls, platform, pending, references), platform)

    runner = TaskRunner(
        database,
        commits,
        generation,
        clients,
        stages,
        task_concurrency=settings.tasks_at_once,
        tier_of=tier_of_calls(request_of(world_id, parameters)),
    )
    return WorldSession(
        database,
        generation,
        parameters,
        commits,
        runner,
        stages,
        relay,
        pending,
        renewal,
        asyncio.create_task(_end_when_held(ledger, end_run), name=f"held:{world_id}"),
        span,
        status.parked,
        takes_references=takes_references(providers.images),
    )


async def _end_when_held(ledger: BudgetLedger, end_run: Callable[[], Awaitable[None]]) -> None:
    """End this run when a person has stopped its world; answers to the calls in flight are waited for and kept."""
    await ledger.held.wait()
    await ledger.await_answers(LAST_ANSWERS_SECONDS)
    await end_run()


async def _choose(database: AsyncMongoDatabase, run: Assignment, settings: Settings) -> Choice:
    """What this run does with its world. Refused, its order is given up, unless the world will be finished by itself."""
    timeout = settings.patience_seconds
    try:
        return await retry_on_outage(lambda: choose(database, run), timeout_seconds=timeout)
    except RefusedRunError as error:
        status = status_of(await retry_on_outage(lambda: database[STATUS].find_one({"_id": run.world_id}), timeout_seconds=timeout))
        if run.order is not None and not (status.generation is not None and goes_on_by_itself(status)):
            given_up = mark_given_up(run.order, str(error))
            await retry_on_outage(lambda: database[TASKS].bulk_write([given_up]), timeout_seconds=timeout)
        raise


async def _workload(commits: Commits, run: Assignment, status: WorldStatus) -> Workload:
    """What there is to do. The task of an order of what is not in the world is failed; the world stays as it is.

    The world's cap stays as a person has set it, higher or lower, unless the new order names its own.
    """
    try:
        work = run.workload(parse_stored(status.parameters))
    except OrderError as error:
        if run.order is not None:
            await commits.commit(Change(records={TASKS: [mark_given_up(run.order, str(error))]}))
        raise
    new = run.parameters
    named = new is not None and new.max_cost_usd is not None
    return work if named or status.cost_limit_usd is None else replace(work, cost_limit_usd=status.cost_limit_usd)


async def _count_recovery(
    database: AsyncMongoDatabase,
    commits: Commits,
    generation: Generation,
    stages: StageTracker,
    status: WorldStatus,
    most: int,
) -> None:
    """Count a generation that continues because its run died; end it when that happened too often. A run that released it lives."""
    died = generation.continued and status.status is State.IN_PROGRESS and status.parked is None and not status.resumable
    if not died:
        return
    if status.takeovers >= most:
        message = (
            f"the run of this world died {status.takeovers} times (MAX_TAKEOVERS): something about it kills its process. Look at "
            f"the logs of its runs, mend it, then: generia resume {status.world_id}"
        )
        stages.resume(status.stages)
        await commits.commit(Change(values={"takeovers": 0}))
        await end(database, commits, generation, stages, State.FAILED, message=message)
        raise TooManyRecoveriesError(message)
    logger.warning("world %s: run %s resumes what run %s left", status.world_id, commits.token.run_id, status.owner.run_id)
    await commits.commit(Change(increments={"takeovers": 1}))
