"""A world of the durable package, on a real MongoDB: a recorded order, runs that own the world, a task runner with counted
calls."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.client_session import AsyncClientSession

from generia_assets.catalog import TaskType
from generia_assets.durable.calls.task_calls import Checkpoints, TaskContext
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.events.progress import StageTracker
from generia_assets.durable.leases.changes import FencingToken
from generia_assets.durable.leases.commits import Commits
from generia_assets.durable.leases.ownership import acquire_lease
from generia_assets.durable.orders.order import Order, parse_parameters
from generia_assets.durable.orders.records import RecordedOrder, record_order
from generia_assets.durable.tasks.generations import Generation
from generia_assets.durable.tasks.runner import TaskRunner
from generia_assets.tasks.clients import TaskClients
from generia_assets.tasks.task_definition import DurableTask, TaskParameters
from resources.mongodb.connection import connect_async

USERS, POSTS = 3, 6
PARAMETERS = {"user_prompt": "a town on a tortoise", "users_count": USERS, "posts_count": POSTS}


def order_of(task_id: str, task_type: TaskType, world_id: str, parameters: dict[str, Any] | None) -> Order:
    """An order with these parameters, parsed like a message. Raises ``OrderError``."""
    if parameters is None:
        return Order(world_id, None, task_type, task_id)
    parsed = parse_parameters(task_type, parameters)
    return Order(world_id, parsed, task_type, task_id)


def an_order(world_id: str, task_id: str = "", **changes: Any) -> Order:
    """An order of a whole world; ``changes`` are its parameters."""
    return order_of(task_id or str(uuid.uuid4()), TaskType.INIT_WORLD_CREATION, world_id, {**PARAMETERS, **changes})


def record(database: Any, order: Order) -> RecordedOrder:
    """Record it where 1000 users and posts are accepted."""
    return record_order(database, order, max_users=1000, max_posts=1000)


class Note(BaseModel):
    """The result of a task in these tests."""

    text: str


@dataclass
class ScriptedApi:
    """The API of a task in these tests: records each call, and answers by a script."""

    script: dict[str, list[Exception | str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def answer(self, name: str) -> str:
        self.calls.append(name)
        answers = self.script.get(name, [])
        answer = answers.pop(0) if answers else f"answer to {name}"
        if isinstance(answer, Exception):
            raise answer
        return answer


class Asker:
    """Clients of a task: one question for each checkpoint. A question is sent when everything before it is durable."""

    def __init__(self, api: ScriptedApi, steps: Checkpoints, commits: Commits) -> None:
        self._outside = api
        self._steps = steps
        self._commits = commits

    async def ask(self, name: str) -> str:
        async def send() -> str:
            await self._commits.flush()  # like the reservation of a call
            return await self._outside.answer(name)

        return await self._steps.run(send, dump=str, load=str)


def a_task(
    function: Callable[[Any, Any], Awaitable[Note]], task_type: TaskType = TaskType.GENERATE_POST, of_item: bool = True
) -> DurableTask[TaskParameters, [], Note]:
    """A durable task of this function of parameters and tools."""
    return DurableTask(task_type, of_item, TaskParameters, Note, function)


def asking(*names: str, task_type: TaskType = TaskType.GENERATE_POST, of_item: bool = True) -> Any:
    """A task that asks these questions one after the other and notes the answers."""

    async def ask(parameters: TaskParameters, tools: Asker) -> Note:
        return Note(text=" / ".join([await tools.ask(name) for name in names]))

    return a_task(ask, task_type, of_item)


@dataclass
class Run:
    """One run that owns the world."""

    fence: FencingToken
    commits: Commits
    database: Any
    generation: str = "generation-1"
    stages: StageTracker = field(default_factory=lambda: StageTracker({}))

    def runner(self, api: ScriptedApi, *, concurrency: int = 100, is_new: bool = False) -> TaskRunner:
        def tools(task: TaskContext, steps: Checkpoints) -> TaskClients:
            return Asker(api, steps, self.commits)  # type: ignore[return-value]  # these tests' tasks ask for no more

        return TaskRunner(
            self.database,
            self.commits,
            Generation(self.generation, self.commits.token.world_id, not is_new, {}, (), {}),
            tools,
            self.stages,
            task_concurrency=concurrency,
        )


class DurableWorld:
    """A recorded world, read with a blocking client (``see``), and its runs."""

    def __init__(self, uri: str, database_name: str, stack: AsyncExitStack) -> None:
        self.world_id = str(uuid.uuid4())
        self.sync: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
        self.see = self.sync[database_name]
        self.client: AsyncMongoClient[dict[str, Any]] = connect_async(uri)
        self.database = self.client[database_name]
        self._stack = stack
        record(self.see, an_order(self.world_id))

    @property
    def status(self) -> dict[str, Any]:
        return self.see[STATUS].find_one({"_id": self.world_id}) or {}

    def task(self, **wanted: Any) -> dict[str, Any]:
        return self.see[TASKS].find_one({"world_id": self.world_id, **wanted}) or {}

    async def take(
        self, run_id: str, *, lease_seconds: float = 60.0, over: bool = True, session: AsyncClientSession | None = None
    ) -> FencingToken:
        """Own the world as this run, which writes in this session; ``over``: whether the former owner's run is over in Dagster."""
        return await acquire_lease(
            self.database,
            self.world_id,
            run_id,
            session or self.client.start_session(),
            lease_seconds=lease_seconds,
            run_is_over=lambda former: over,
            outage_timeout=60,
        )

    async def run(self, run_id: str = "run-1") -> Run:
        """A run that acquires the world at once, also from another owner."""
        session = self.client.start_session()
        fence = await self.take(run_id, session=session)
        commits = Commits(session, self.database, fence, outage_timeout=60)
        self._stack.push_async_callback(commits.aclose)
        return Run(fence, commits, self.database)


@asynccontextmanager
async def durable_world(uri: str, database_name: str) -> AsyncIterator[DurableWorld]:
    """An ordered world without an owner."""
    async with AsyncExitStack() as stack:
        world = DurableWorld(uri, database_name, stack)
        stack.callback(world.sync.close)
        stack.push_async_callback(world.client.close)
        yield world
