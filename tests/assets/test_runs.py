"""Runs and generations: when a second run of the same world starts a generation, and when it continues one."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg
import pytest

from generia_assets import dagster_instance
from generia_assets.assets.generator import GeneratorResource
from generia_assets.assets.worker import Worker
from generia_assets.durable.collections import HISTORY, TASKS, WORLD_EVENTS
from generia_assets.durable.orders.decisions import GENERATION_TAG
from generia_assets.durable.status import Stage, State
from tests.support.waiting import slowness, wait_for
from tests.support.worlds_in_process import POSTS, PROMPT, USERS, Worlds


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    with the_worlds.undamaged():
        yield the_worlds


def answered(worlds: Worlds, world_id: str) -> Counter[tuple[str, str]]:
    """The number of answered calls of each kind for each task."""
    rows = worlds.database[HISTORY].find({"world_id": world_id, "api_type": "llm", "outcome": "ok"})
    return Counter((row["task_id"], row["request_type"]) for row in rows)


TOLD_ONCE = {
    "world_created": 1,
    **{f"stage_{moved} {stage.value}": 1 for stage in Stage for moved in ("started", "finished")},
    "character_created": USERS,
    "post_published": POSTS,
    "completed": 1,
}
"""The live events of a world that nothing happened to."""


def event_counts(worlds: Worlds, world_id: str) -> Counter[str]:
    """Counts of the world's live events so far; checks that their numbers have no gaps."""
    events = [row["event"] for row in worlds.database[WORLD_EVENTS].find({"world_id": world_id}).sort("seq")]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    named = {"stage_started": "stage", "stage_finished": "stage", "going_on": "after", "cancelled": "reason"}
    details = [event.get(named.get(event["event_type"], ""), "") for event in events]
    return Counter(f"{event['event_type']} {detail}".rstrip() for event, detail in zip(events, details, strict=True))


def assert_exact(worlds: Worlds, world_id: str) -> None:
    """Check that the world is complete, and that no document and no object of the platform exists twice."""
    status = worlds.status(world_id)
    assert (status.status, status.tasks_failed) == (State.COMPLETED, 0)
    assert status.tasks_total == status.tasks_completed == status.task_predicted
    assert (status.users_created, status.posts_created) == (USERS, POSTS)
    assert (len(worlds.documents("characters", world_id)), len(worlds.documents("post_images", world_id))) == (USERS, POSTS)
    for name, count in (("characters", USERS), ("posts", POSTS), ("media", 2 + USERS + POSTS)):
        assert worlds.platform[f"platform_{name}"].count_documents({"world_id": world_id}) == count


@pytest.mark.parametrize("quota", [1, 4, 9], ids=["while people are invented", "among the people", "among the posts"])
def test_a_re_execution_of_a_failed_run_continues_its_generation_and_repeats_no_answered_call(worlds: Worlds, quota: int) -> None:
    """By the emulator's count no answered call is repeated, and the world is exact."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(requests_per_day=quota)
    world_id, failed = worlds.make(f"quota-{quota}")
    assert not failed.success
    assert "suspended and can be resumed" in failed.failure
    status = worlds.status(world_id)
    assert (status.status, status.resumable, status.owner.run_id) == (State.IN_PROGRESS, True, None)
    before = answered(worlds, world_id)
    assert sum(before.values()) == quota
    tasks = {row["_id"] for row in worlds.database[TASKS].find({"world_id": world_id})}
    worlds.gemini.set_faults(requests_per_day=None)
    again = worlds.run(world_id, parent=failed)
    assert again.success, again.failure
    assert worlds.status(world_id).generation == failed.run_id
    assert tasks <= {row["_id"] for row in worlds.database[TASKS].find({"world_id": world_id})}
    after = answered(worlds, world_id)
    assert set(after.values()) == {1}
    assert worlds.gemini.stats().by_outcome["ok"] == sum(after.values())
    assert before.keys() <= after.keys()
    assert_exact(worlds, world_id)
    assert event_counts(worlds, world_id) == {**TOLD_ONCE, "parked": 1, "going_on parked": 1}


def test_a_generation_that_is_completed_or_unknown_cannot_be_resumed(worlds: Worlds) -> None:
    """A run with the tag of such a generation fails with the id, makes no call and changes nothing."""
    world_id, made = worlds.make("finished", users=1, posts=1)
    assert made.success, made.failure
    before, status, calls = worlds.snapshot(world_id), worlds.raw_status(world_id), worlds.calls
    for generation in (made.run_id, "of-no-run"):
        resumed = worlds.run(world_id, tags={GENERATION_TAG: generation})
        assert not resumed.success
        assert generation in resumed.failure
    assert worlds.calls == calls
    assert worlds.snapshot(world_id) == before
    unchanged = ("status", "generation", "message", "stages", "tasks_completed", "posts_created")
    assert {name: worlds.raw_status(world_id)[name] for name in unchanged} == {name: status[name] for name in unchanged}


@pytest.mark.parametrize(("how", "suspended"), [("stop", "stopped"), ("deploy", None)])
def test_an_interrupted_run_releases_its_world_within_seconds_and_another_run_completes_it(
    worlds: Worlds, how: str, suspended: str | None
) -> None:
    """After a stop by a person the world waits for a resume, after a deploy it does not; in both cases no answered call is
    repeated."""
    assert worlds.gemini is not None
    worlds.gemini.set_faults(hang=1.0, after_calls=4)
    world_id, run_id = f"interrupted-by-{how}", str(uuid.uuid4())

    def interrupt() -> float:
        assert worlds.gemini is not None
        worlds.gemini.wait_until(lambda stats: stats.by_outcome.get("ok", 0) == 4, timeout=120)
        began = time.monotonic()
        if suspended:  # as Dagster does when somebody terminates the run, which then interrupts itself
            worlds.instance.report_run_canceling(worlds.made(run_id).run)
        else:
            os.kill(os.getpid(), signal.SIGINT)
        wait_for(lambda: worlds.status(world_id).owner.run_id is None, what="the world's being given back")
        return time.monotonic() - began

    with ThreadPoolExecutor(1) as beside:
        seconds = beside.submit(interrupt)
        assert not worlds.run(world_id, form={"prompt": PROMPT, "users": USERS, "posts": POSTS}, run_id=run_id).success
    assert seconds.result() < 5 * slowness()
    status = worlds.status(world_id)
    assert status.status is State.IN_PROGRESS
    assert (status.parked.kind if status.parked else None) == suspended
    assert status.message
    before = answered(worlds, world_id)
    assert len(before) == 4
    worlds.gemini.set_faults(hang=0.0)
    resumed = worlds.resume(world_id)
    assert resumed.success, resumed.failure
    assert worlds.status(world_id).generation == run_id
    assert worlds.status(world_id).takeovers == 0  # not a crash: deploys do not count toward MAX_TAKEOVERS
    after = answered(worlds, world_id)
    assert set(after.values()) == {1}
    stood_still = {"cancelled stopped": 1, "going_on resume": 1} if suspended else {"going_on interruption": 1}
    assert event_counts(worlds, world_id) == {**TOLD_ONCE, **stood_still}
    assert before.keys() <= after.keys()
    assert_exact(worlds, world_id)
    assert worlds.status(world_id).cost_reserved_usd == 0


@pytest.mark.case("S16")
def test_a_signal_after_the_world_is_completed_changes_nothing(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The world stays completed with one final event, and has the assets of the interrupted run."""
    record = Worker.record

    def interrupted(worker: Worker, change: Any) -> None:
        record(worker, change)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Worker, "record", interrupted)
    world_id, made = worlds.make("interrupted-at-the-end")
    assert not made.success
    assert (worlds.status(world_id).message, worlds.status(world_id).resumable) == ("", False)
    assert event_counts(worlds, world_id) == TOLD_ONCE
    assert not any("unchanged" in of_asset for of_asset in made.metadata.values())
    assert_exact(worlds, world_id)


@pytest.mark.case("S16")
def test_a_run_that_is_terminated_while_it_closes_releases_its_world(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a run is not interrupted: otherwise the run would own the world until its lease is over."""
    close = GeneratorResource.close

    def terminated(generator: GeneratorResource, error: BaseException | None, context: dg.InitResourceContext) -> None:
        assert context.run is not None
        worlds.instance.report_run_canceling(context.run)
        wait_for(lambda: "run-status" not in {thread.name for thread in threading.enumerate()})
        close(generator, error, context)

    monkeypatch.setattr(dagster_instance, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(GeneratorResource, "close", terminated)
    world_id, _ = worlds.make("terminated-while-it-closes", users=1, posts=1)
    assert (worlds.status(world_id).status, worlds.status(world_id).owner.run_id) == (State.COMPLETED, None)
