"""A session of measurements: one stack with the settings of a case, which receives orders as the platform sends them.

Not here: which worlds are made, and what is measured (cases.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.killing import run_processes
from bench.speed import bounds
from bench.speed.meter import RUN, Meter, Spent, fixed_loop
from bench.stack import TestStack, status_of, wait_for
from generia_assets.durable.collections import HISTORY
from generia_assets.durable.status import State, WorldStatus
from generia_assets.queries.records import WITHOUT_TEXTS, RequestRecord, read_requests
from resources.gateway.calls import Api
from resources.mongodb.connection import MongoDatabase

OUTSIDE = (Api.LLM, Api.IMAGE)
"""The APIs whose calls are outside calls."""
LOOK_SECONDS = 0.25
LONGEST_SECONDS = 3600.0
KINDS = ("find", "update", "findAndModify", "insert", "delete", "aggregate", "getMore", "bulkWrite", "commitTransaction")
"""The commands of MongoDB that are shown each by itself."""


class Costs(BaseModel):
    """The cost of each outside call: CPU ms by process, commands of MongoDB by kind. ``loop_ms``: that of the fixed loop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: float
    loop_ms: float
    cpu_ms: Mapping[str, float]
    commands: Mapping[str, float]
    peak_mb: float

    @property
    def run_ms(self) -> float:
        return self.cpu_ms[RUN]

    @property
    def all_ms(self) -> float:
        return sum(self.cpu_ms.values())


@dataclass(frozen=True)
class World:
    """A world that was made, or stopped after its first post. ``ordered``: when the message was sent, seconds since the epoch."""

    world_id: str
    users: int
    posts: int
    ordered: float
    status: WorldStatus

    @property
    def first_post(self) -> float:
        """When its first post was published, seconds since the epoch."""
        if self.status.first_post_at is None:
            raise RuntimeError(f"world {self.world_id} is {self.status.status} without a post: {self.status.message}")
        return self.status.first_post_at.timestamp()


@dataclass(frozen=True)
class Made:
    """Worlds that were made at once: their tasks, their outside calls, and the cost of these."""

    worlds: Sequence[World]
    graph: bounds.Graph
    calls: Sequence[RequestRecord]
    costs: Costs

    def of(self, api: Api) -> list[RequestRecord]:
        return [call for call in self.calls if call.api == api.value]

    @property
    def span(self) -> float:
        return bounds.span(self.calls)


Until = Callable[[WorldStatus], bool]


def is_over(status: WorldStatus) -> bool:
    return status.done


def has_post(status: WorldStatus) -> bool:
    return status.first_post_at is not None


class Session:
    """A running stack. ``seconds``: what an answer, and a picture, takes; ``slots``: calls at once."""

    def __init__(self, stack: TestStack, database: MongoDatabase, seconds: Mapping[Api, float], slots: Mapping[Api, int]) -> None:
        self.stack = stack
        self.database = database
        self.seconds = seconds
        self.slots = slots

    def make(self, *sizes: tuple[int, int], until: Until = is_over, **faults: float) -> Made:
        """Make worlds of these numbers of people and posts, ordered at once, while the model has these faults.

        They are stopped when ``until`` holds, unless they are over then.
        """
        self.answer(**faults)
        loop = fixed_loop()
        with Meter(self.stack, self.database) as meter:
            ordered = [(self.order(users, posts), users, posts) for users, posts in sizes]
            worlds = [World(key, users, posts, sent, self.wait(key, until, meter)) for (key, sent), users, posts in ordered]
            for world in worlds:
                if not world.status.done:
                    self.stop(world.world_id)
            self.wait_for_runs()
            spent = meter.spent()
        loop = (loop + fixed_loop()) / 2
        calls = self.calls(*(world.world_id for world in worlds))
        graphs = [bounds.world_graph(world.world_id, world.users, world.posts, self.seconds) for world in worlds]
        graph = {node: work for one in graphs for node, work in one.items()}
        return Made(worlds, graph, calls, _costs(spent, len(calls), loop))

    def answer(self, **faults: float) -> None:
        """Let the model answer with its latency, and with these faults from now on."""
        self.stack.gemini.reset()
        self.stack.gemini.set_faults(latency=self.seconds[Api.LLM], **faults)

    def order(self, users: int, posts: int, **more: object) -> tuple[str, float]:
        """Order a world, with ``more`` parameters: its id, and when its message was sent."""
        sent = time.time()
        return self.stack.order(users=users, posts=posts, **more), sent  # type: ignore[arg-type]

    def wait(self, world_id: str, until: Until = is_over, meter: Meter | None = None) -> WorldStatus:
        """The status record of the world as soon as this holds. Raises ``RuntimeError`` if it failed, or a part of it."""

        def found() -> WorldStatus | None:
            if meter is not None:
                meter.own_finds += 1
            status = status_of(self.database, world_id)
            return status if status is not None and (status.done or until(status)) else None

        status = wait_for(f"the end of world {world_id}", found, seconds=LONGEST_SECONDS, every=LOOK_SECONDS)
        if status.status is State.FAILED or status.failures:
            raise RuntimeError(f"world {world_id} is {status.status}: {status.message or status.failures[0].error}")
        return status

    def stop(self, *world_ids: str) -> None:
        """Stop these worlds for good, as a person does; when this returns, all runs have ended."""
        for world_id in world_ids:
            command = [str(Path(sys.executable).with_name("generia")), "stop", world_id, "--give-up"]
            subprocess.run(command, env={**os.environ, **self.stack.env}, check=False, capture_output=True, timeout=60)
        self.wait_for_runs()

    def wait_for_runs(self, seconds: float = 60.0) -> None:
        wait_for("the end of the runs' processes", lambda: not run_processes(self.stack) or None, seconds=seconds, every=0.1)

    def calls(self, *world_ids: str) -> list[RequestRecord]:
        made = {"world_id": {"$in": world_ids}, "api_type": {"$in": [api.value for api in OUTSIDE]}}
        return list(read_requests(self.database[HISTORY].find(made, WITHOUT_TEXTS)))


@contextmanager
def session(seconds: Mapping[Api, float], settings: Mapping[str, str], seed: int, *, warm: bool = True) -> Iterator[Session]:
    """Start a stack; ``warm``: make one small world on it, so that no measurement starts with empty caches."""
    slots = {api: int(settings.get(f"{name}_CONCURRENCY", default)) for api, name, default in _SLOTS}
    pictures = {"IMAGE_STUB_LATENCY_SECONDS": str(seconds[Api.IMAGE])}
    with TestStack(seed=seed, settings={**pictures, **settings}) as stack:
        stack.start_servers()
        stack.start_dagster()
        with stack.database() as database:
            opened = Session(stack, database, seconds, slots)
            if warm:
                opened.wait(opened.order(1, 1)[0])
                opened.wait_for_runs()
            yield opened


_SLOTS = ((Api.LLM, "LLM", 15), (Api.IMAGE, "IMAGE", 10))


def _costs(spent: Spent, calls: int, loop: float) -> Costs:
    shown = {kind: number for kind, number in spent.commands.items() if kind in KINDS}
    shown["others"] = sum(spent.commands.values()) - sum(shown.values())
    return Costs(
        calls=calls,
        loop_ms=loop * 1000,
        cpu_ms={name: seconds * 1000 / calls for name, seconds in spent.cpu.items()},
        commands={kind: number / calls for kind, number in shown.items()},
        peak_mb=spent.peak_mb,
    )
