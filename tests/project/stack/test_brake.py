"""The brake on a real stack: ``generia stop --all`` ends all calls at once, ``generia resume --all`` completes every world."""

from __future__ import annotations

import json
from functools import partial

import dagster as dg
import pytest

from bench import stack
from bench.exact import exactness
from bench.killing import run_processes
from bench.stack import TestStack, status_of
from generia_assets.durable.collections import FLEET, HISTORY, STATUS, WORLD_EVENTS
from generia_assets.durable.leases.brake import BRAKE
from resources.gateway.calls import CUT_OFF, UNSENT
from resources.mongodb.connection import MongoDatabase
from tests.support.command import Command
from tests.support.waiting import slowness

pytestmark = [pytest.mark.dagster_process, pytest.mark.timeout(600)]

NO_CALL_AFTER_S = 1.0
wait_for = partial(stack.wait_for, seconds=180.0)


def output(generia: Command, *arguments: str) -> dict[str, object]:
    exit_code, out, err = generia.call(*arguments, "--yes", "--json")
    assert exit_code == 0, err
    found: dict[str, object] = json.loads(out)
    return found


def works(database: MongoDatabase, world: str) -> bool | None:
    status = status_of(database, world)
    return (status is not None and status.api_calls_made_LLM >= 3) or None


def is_completed(database: MongoDatabase, world: str) -> bool | None:
    status = status_of(database, world)
    assert status is None or status.status != "failed", status.message
    return (status is not None and status.status == "completed") or None


@pytest.mark.case("P22")
def test_nothing_is_called_after_the_brake_and_every_world_is_completed_exactly(
    stack: TestStack, database: MongoDatabase, generia: Command
) -> None:
    """A second after the brake no call begins, of running or queued worlds or of those ordered meanwhile, and no answer is paid
    twice. This holds whether the command reaches Dagster or not.
    """
    stack.gemini.set_faults(latency=2.0)  # no world is completed before the command runs
    worlds = [stack.order(users=3, posts=12)]
    wait_for("work", partial(works, database, worlds[0]))
    worlds.append(stack.order(users=1, posts=1))  # its run starts about now
    wait_for("its record", lambda: status_of(database, worlds[-1]))
    for command in (generia, Command(stack.folder, {**stack.env, "DAGSTER_HOME": ""})):
        late, worlds = _brake(stack, database, worlds, command)
        assert output(generia, "resume", "--all")["resumed"] == len(worlds)
        worlds.append(late)
        if command is generia:
            wait_for("calls", partial(_has_called, stack, stack.gemini.stats().calls))
            wait_for("the late order", partial(status_of, database, late))
            worlds.append(stack.order(users=3, posts=12))  # the first ones may be completed before the second brake
            wait_for("work", partial(works, database, worlds[-1]))
    stack.gemini.reset()
    for record in database[STATUS].find():
        wait_for("the world", partial(is_completed, database, record["_id"]))
        found = exactness(stack, database, record["_id"])
        assert found.ok, found
    assert database[STATUS].count_documents({"no_calls_until": {"$ne": None}}) == 0


def _brake(stack: TestStack, database: MongoDatabase, worlds: list[str], command: Command) -> tuple[str, list[str]]:
    """Stop everything; return a world that is ordered meanwhile, and the stopped ones of the worlds."""
    stopped = output(command, "stop", "--all")
    brake = database[FLEET].find_one({"_id": BRAKE})
    assert brake is not None
    before, worlds = worlds, [world for world in worlds if not is_completed(database, world)]
    assert worlds
    assert stopped["worlds"] in range(len(worlds), len(before) + 1)  # a world that had made its last call is still completed
    assert stopped["taken_from"] == []
    late = stack.order(users=1, posts=1)
    with stack.instance() as instance:
        wait_for("a tick that leaves the order in Kafka", partial(_tick_says_stopped, instance, brake["since"].timestamp()))
    wait_for("the end of all runs", lambda: not run_processes(stack) or None)
    assert (stack.gemini.stats().last_call_at or 0.0) < brake["since"].timestamp() + NO_CALL_AFTER_S * slowness()
    assert status_of(database, late) is None
    for world in worlds:
        status = status_of(database, world)
        assert status is not None
        assert status.parked is not None
        assert (status.parked.kind, status.owner.run_id, status.stopped_with) == ("stopped", None, "all")
        lost = {"world_id": world, "outcome": CUT_OFF, "error": {"$ne": UNSENT.error}}  # UNSENT: was reserved and given back
        assert database[HISTORY].count_documents(lost) == 0
        assert database[WORLD_EVENTS].count_documents({"world_id": world, "event.event_type": "cancelled"}) >= 1
    return late, worlds


def _has_called(stack: TestStack, before: int) -> bool | None:
    return stack.gemini.stats().calls > before or None


def _tick_says_stopped(instance: dg.DagsterInstance, since: float) -> bool | None:
    for state in instance.all_instigator_state():
        if state.instigator_name == "kafka_orders":
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, after=since, limit=20)
            if any(tick.skip_reason and "everything is stopped" in tick.skip_reason for tick in ticks):
                return True
    return None
