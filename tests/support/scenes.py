"""A world in each of its states, made by real runs, and each way to start a run on it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from generia_assets.catalog import TaskType
from generia_assets.durable.collections import STATUS, TASKS
from generia_assets.durable.orders.order import ExtensionParameters, Order
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.tasks.control import ResumeError, ResumeOptions, mark_stopped, resume_world
from sensors.requests import run_request, run_requests
from sensors.run_status import assets_of, order_again
from tests.support import worlds_in_process as tools
from tests.support.dagster_internals import ReexecutionStrategy
from tests.support.durable_world import order_of
from tests.support.worlds_in_process import PROMPT, Worlds

USERS, POSTS = 1, 2
CAP = 0.5
ANSWERED_FIRST = 5
"""Calls until the ideas of the posts are there: description, pictures, concepts, person, ideas."""
ANOTHER = {"prompt": "A lighthouse that walks", "users": 1, "posts": 1}

Run = tools.Made | None
Way = Callable[["Scene"], "Outcome"]


@dataclass
class Scene:
    """A world in a state: its id, its order's task, and the run that a person would re-execute."""

    worlds: Worlds
    world_id: str
    parent: tools.Made | None = None
    documents: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    """All that MongoDB has, by database and collection."""
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    """MongoDB's hash of each of these: what is as it was need not be restored."""
    pending: dict[Path, bytes] = field(default_factory=dict)
    """The pictures that wait for their upload."""

    def remember(self) -> Scene:
        databases = (self.worlds.database, self.worlds.platform)
        found = {
            database.name: {name: list(database[name].find()) for name in database.list_collection_names() if name != "fleet"}
            for database in databases
        }
        hashes = {database.name: _hashes(database) for database in databases}
        waiting = self.worlds.settings.pending_dir.rglob("*")
        pending = {file: file.read_bytes() for file in waiting if file.is_file()}
        return replace(self, documents=found, hashes=hashes, pending=pending)

    def restore(self) -> None:
        for database in (self.worlds.database, self.worlds.platform):
            before, now = self.hashes[database.name], _hashes(database)
            for name in (before.keys() | now.keys()) - {"fleet"}:
                if before.get(name) != now.get(name):
                    database[name].delete_many({})
                    if kept := self.documents[database.name].get(name):
                        database[name].insert_many(kept)
        for file, picture in self.pending.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture)

    @property
    def order(self) -> str:
        return str(self.worlds.raw_status(self.world_id)["parameters"]["task_id"])


def _hashes(database: Any) -> dict[str, str]:
    """MongoDB's hash of each collection."""
    hashes: dict[str, str] = database.command("dbHash")["collections"]
    return hashes


@dataclass(frozen=True)
class Outcome:
    """The result: the run, or why there was none."""

    run: tools.Made | None
    refused: str = ""


# --- the states -----------------------------------------------------------------------------------------------------------------


class Scenes(dict[str, Scene]):
    """The states, each made at its first use; all of one world, which is restored to the state from which each begins."""

    def __init__(self, worlds: Worlds) -> None:
        self.worlds = worlds

    def __missing__(self, name: str) -> Scene:
        self[name] = STATES[name](self).remember()
        return self[name]

    def back_to(self, name: str) -> Scene:
        scene = self[name]
        scene.restore()
        return scene


def never_begun(scenes: Scenes) -> Scene:
    worlds, world_id = scenes.worlds, "00000000-0000-4000-8000-000000000001"
    parameters = {"user_prompt": PROMPT, "users_count": USERS, "posts_count": POSTS, "max_cost_usd": CAP}
    order = order_of(str(uuid.uuid4()), TaskType.INIT_WORLD_CREATION, world_id, parameters)
    record_order(worlds.database, order, max_users=9, max_posts=9)
    worlds.instance.add_dynamic_partitions("worlds", [world_id])
    died = worlds.instance.create_run_for_job(worlds.job, tags={"dagster/partition": world_id}, status=dg.DagsterRunStatus.FAILURE)
    return Scene(worlds, world_id, worlds.made(died.run_id))  # before it could start


def suspended(scenes: Scenes) -> Scene:
    scene = scenes.back_to("never begun")
    made = with_faults(scene, lambda: as_requested(scene, run_request(recorded(scene).order)), requests_per_day=ANSWERED_FIRST)
    assert "suspended and can be resumed" in made.failure
    return replace(scene, parent=made)


def stopped(scenes: Scenes) -> Scene:
    scene = scenes.back_to("suspended")
    assert mark_stopped(scene.worlds.database, scene.world_id)
    return scene


def in_progress(scenes: Scenes) -> Scene:
    scene = scenes.back_to("suspended")
    owner = {"run_id": "elsewhere", "epoch": 7, "expires_at": datetime.now(UTC) + timedelta(days=1)}
    at_work = {"parked": None, "resumable": False, "owner": owner}
    scene.worlds.database[STATUS].update_one({"_id": scene.world_id}, {"$set": at_work})
    return scene


def failed_at_a_cap(scenes: Scenes) -> Scene:
    scene = scenes.back_to("suspended")
    spent = scene.worlds.status(scene.world_id).cost_usd
    resume_world(scene.worlds.database, scene.world_id, ResumeOptions(max_cost_usd=spent + 1e-6))
    assert "cap of" in watchdogs(scene).failure
    return scene


def failed(scenes: Scenes) -> Scene:
    scene = scenes.back_to("never begun")
    about_people = {"broken_json": 1.0, "only_matching": "of this world. It will have"}
    made = with_faults(scene, lambda: as_requested(scene, run_request(recorded(scene).order)), **about_people)
    assert "generate_character_batch b000 failed after 4 attempts" in made.failure
    return replace(scene, parent=made)


def completed(scenes: Scenes) -> Scene:
    """Like in P2: it failed at its cap, was resumed with a higher one, and completed."""
    scene = scenes.back_to("failed at a cap")
    resume_world(scene.worlds.database, scene.world_id, ResumeOptions(max_cost_usd=CAP))
    assert watchdogs(scene).success
    return scene


def completed_with_failures(scenes: Scenes) -> Scene:
    scene = scenes.back_to("suspended")
    (ideas,) = scene.worlds.database[TASKS].find({"type": "generate_post_batch"})
    first, second = (idea["moment"] for idea in ideas["result"]["briefs"])
    assert first not in second
    resume_world(scene.worlds.database, scene.world_id, ResumeOptions())
    assert with_faults(scene, lambda: watchdogs(scene), broken_json=1.0, only_matching=f"When: {first}").success
    assert scene.worlds.status(scene.world_id).tasks_failed == 1
    return scene


def rerun_unfinished(scenes: Scenes) -> Scene:
    scene = scenes.back_to("completed")
    select = ["world_description", *tools.CONTENT_ASSETS]
    made = with_faults(scene, lambda: scene.worlds.run(scene.world_id, select=select), broken_json=1.0)
    assert "generate_world_description world failed" in made.failure
    return replace(scene, parent=made)


def with_faults(scene: Scene, run: Callable[[], tools.Made], **faults: Any) -> tools.Made:
    """A run with these faults of the emulator."""
    assert scene.worlds.gemini is not None
    scene.worlds.gemini.set_faults(**faults)
    made = run()
    scene.worlds.gemini.reset()
    return made


STATES: dict[str, Callable[[Scenes], Scene]] = {
    "never begun": never_begun,
    "in progress": in_progress,
    "stopped": stopped,
    "suspended": suspended,
    "failed at a cap": failed_at_a_cap,
    "failed": failed,
    "completed": completed,
    "completed with failures": completed_with_failures,
    "completed, a rerun unfinished": rerun_unfinished,
}

# --- the ways -------------------------------------------------------------------------------------------------------------------


def recorded(scene: Scene, task_type: TaskType = TaskType.INIT_WORLD_CREATION, task_id: str = "") -> Any:
    order = order_of(task_id or scene.order, task_type, scene.world_id, {} if task_id else None)
    return record_order(scene.worlds.database, order, max_users=9, max_posts=9)


def as_requested(scene: Scene, request: dg.RunRequest, **tags: str) -> tools.Made:
    select = [key.path[-1] for key in request.asset_selection or ()]
    return scene.worlds.run(scene.world_id, select=select, tags={**request.tags, **tags})


def watchdogs(scene: Scene) -> tools.Made:
    """The run with which the watchdog continues a world."""
    status = scene.worlds.status(scene.world_id)
    return as_requested(scene, order_again(status, None, assets_of(scene.worlds.database, status)))


def message(scene: Scene) -> Outcome:
    """The world's own order again, as if Dagster had lost its run key."""
    requests = run_requests([recorded(scene)])
    return Outcome(as_requested(scene, requests[0]) if requests else None)


def rerun(scene: Scene) -> Outcome:
    return Outcome(as_requested(scene, run_request(recorded(scene, TaskType.GENERATE_WORLD_IMAGE, str(uuid.uuid4())).order)))


def extend(scene: Scene) -> Outcome:
    """By a message for one more person and post."""
    order = Order(scene.world_id, ExtensionParameters(add_users=1, add_posts=1), task_id=str(uuid.uuid4()))
    return Outcome(as_requested(scene, run_request(record_order(scene.worlds.database, order, max_users=9, max_posts=9).order)))


def resume(scene: Scene) -> Outcome:
    """With a higher cap, and the failed items again."""
    try:
        resume_world(scene.worlds.database, scene.world_id, ResumeOptions(max_cost_usd=2 * CAP, more_calls=9, retry_failed=True))
    except ResumeError as error:
        return Outcome(None, str(error))
    return Outcome(watchdogs(scene))


def launch_form(scene: Scene) -> Outcome:
    return Outcome(scene.worlds.run(scene.world_id, form=ANOTHER))


def materialize_all(scene: Scene) -> Outcome:
    """For a partition that was deleted, and is added again."""
    scene.worlds.instance.delete_dynamic_partition("worlds", scene.world_id)
    return Outcome(scene.worlds.run(scene.world_id))


def materialize_part(scene: Scene) -> Outcome:
    """For an asset that was wiped."""
    scene.worlds.instance.wipe_assets([dg.AssetKey("world_images")])
    return Outcome(scene.worlds.run(scene.world_id, select=["world_images"]))


def backfill_part(scene: Scene) -> Outcome:
    return Outcome(scene.worlds.run(scene.world_id, select=["posts", "post_images"], tags={"dagster/backfill": "abcdefgh"}))


def backfill_all(scene: Scene) -> Outcome:
    return Outcome(scene.worlds.run(scene.world_id, tags={"dagster/backfill": "abcdefgh"}))


def re_execute(strategy: ReexecutionStrategy) -> Way:
    """With the tag of an automatic retry, which Dagster's daemon adds, and which has no other effect."""

    def way(scene: Scene) -> Outcome:
        assert scene.parent is not None
        return Outcome(scene.worlds.re_execute(scene.parent, strategy, retry=True))

    return way


WAYS: dict[str, Way] = {
    "the same message again": message,
    "`rerun`": rerun,
    "`extend`": extend,
    "`resume`": resume,
    "launch form, another prompt": launch_form,
    "materialize all nine, also of a partition that was deleted and added again": materialize_all,
    "materialize a part, also of a wiped asset": materialize_part,
    "backfill of a part": backfill_part,
    "backfill of all nine": backfill_all,
    "re-execute all": re_execute(ReexecutionStrategy.ALL_STEPS),
    "re-execute from failure, also as the automatic retry": re_execute(ReexecutionStrategy.FROM_FAILURE),
}
