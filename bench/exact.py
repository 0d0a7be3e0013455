"""Whether a finished world is exact: nothing is missing, nothing exists twice, and the counts of all services agree.

Here: reading MongoDB, the counts of the emulator, and the records of the platform (collections of the local platform, or the report
of the emulator) after the world ended. Not here: the faults that the world met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pymongo import ASCENDING

from bench.stack import TestStack
from emulators.platform.stats import WorldReport, generator_key
from generia_assets.catalog import ASSETS, TaskType
from generia_assets.content.plan import plan
from generia_assets.durable.collections import GENERATIONS, HISTORY, PUBLICATIONS, STATUS, STEPS, TASKS, WORLD_EVENTS
from generia_assets.durable.orders.order import parse_stored
from generia_assets.durable.orders.workload import request_of
from generia_assets.durable.status import Stage, State, WorldStatus
from resources.gateway.calls import CUT_OFF, Api
from resources.gateway.outcomes import InvalidAnswerError, RefusedError
from resources.mongodb.connection import MongoDatabase, MongoDocument
from resources.mongodb.document_store import POINTERS

PLATFORM_DATABASE = "generia_platform"


@dataclass(frozen=True)
class Published:
    """What the platform has of a world.

    Attributes:
        characters: The key each was made under, so that one that is there twice shows.
        feed: The posts' ids in the order of creation.
        media: The pictures that are there and have to be shown.
        shown: The pictures that are shown.
        files: Pictures on this machine; None where the platform keeps them.
        orphans: Characters beyond the first of a key that nothing refers to: made again, since the answer was lost.
        spare: Pictures that nothing has to show, for the same reason.
    """

    characters: list[str]
    feed: list[str]
    media: list[str]
    shown: list[str]
    files: list[str] | None = None
    orphans: int = 0
    spare: int = 0


def published(stack: TestStack, database: MongoDatabase, world_id: str) -> Published:
    if stack.platform is None:
        return _on_local_platform(database.client[PLATFORM_DATABASE], stack.folder / "media", world_id)
    with stack.platform as control:
        return _on_services(control.world(world_id))


def _on_local_platform(platform: MongoDatabase, media: Path, world_id: str) -> Published:
    characters = platform["platform_characters"].find({"world_id": world_id}, {"key": 1})
    created = platform["platform_posts"].find({"world_id": world_id}).sort([("created_at", ASCENDING), ("_id", ASCENDING)])
    world = platform["platform_worlds"].find_one({"_id": world_id}) or {}
    shown = [world.get("image_uuid"), world.get("icon_uuid")]
    shown += platform["platform_characters"].distinct("avatar_media_id", {"world_id": world_id})
    shown += platform["platform_posts"].distinct("media_id", {"world_id": world_id})
    return Published(
        characters=[row["key"] for row in characters],
        feed=[row["_id"] for row in created],
        media=platform["platform_media"].distinct("_id", {"world_id": world_id}),
        shown=[str(one) for one in shown],
        files=[path.stem for path in (media / world_id).rglob("*") if path.is_file()],
    )


def _on_services(report: WorldReport) -> Published:
    characters = [row for row in report.characters if row.id not in report.orphans]
    shown = [report.world.image_uuid, report.world.icon_uuid]
    shown += [row.avatar_media_id for row in characters] + [row.media_id for row in report.posts]
    return Published(
        characters=[generator_key(row) or f"without a key: {row.id}" for row in characters],
        feed=[row.id for row in report.posts],
        media=[row.id for row in report.media if row.confirmed and row.id not in report.unused_media],
        shown=[str(one) for one in shown],
        orphans=len(report.orphans),
        spare=len(report.unused_media),
    )


@dataclass
class Findings:
    """What is wrong with a world. ``missing`` and ``doubled`` count documents and publications.

    ``orphans`` and ``spare``: characters and pictures on the platform that nothing refers to, since the answer to their creation
    was lost. They are not wrong; each orphan must be recorded.
    """

    missing: int = 0
    doubled: int = 0
    orphans: int = 0
    spare: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.doubled or self.complaints)

    def expect(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.complaints.append(f"{what}: {found!r} instead of {wanted!r}")

    def count(self, what: str, keys: Iterable[str], wanted: int) -> None:
        """Add a finding unless there are exactly this many different keys, each once."""
        times = Counter(keys)
        missing, doubled = wanted - len(times), sum(times.values()) - len(times)
        if missing or doubled:
            self.complaints.append(f"{what}: {missing} missing, {doubled} twice of {wanted}")
        self.missing += max(0, missing)
        self.doubled += doubled + max(0, -missing)


@dataclass(frozen=True)
class CallCounts:
    """A world's calls by its own records: attempts recorded, of these cut off, and what the plan needs without repetition."""

    llm: int
    images: int
    cut_off_llm: int
    cut_off_images: int
    planned_llm: int
    planned_images: int
    asked_again: int
    """LLM calls whose answer could not be used, or brought too few or something twice, so that another one had to be made in the
    same run: they are no repetition."""

    @property
    def cut_off(self) -> int:
        return self.cut_off_llm + self.cut_off_images


def exactness(stack: TestStack, database: MongoDatabase, world_id: str) -> Findings:
    """Everything that must be true of a completed world whose calls all succeeded."""
    findings = Findings()
    raw: MongoDocument = database[STATUS].find_one({"_id": world_id}) or {}
    status = WorldStatus.model_validate(raw)
    order = parse_stored(status.parameters)
    planned = plan(request_of(world_id, order))
    users, posts = order.users_count, order.posts_count
    _status(findings, raw, status, tasks=sum(planned.tasks.values()), users=users, posts=posts)
    _tasks(findings, database, status, planned.tasks)
    _documents(findings, database, status, users, posts)
    _events(findings, database, world_id, users, posts)
    there = published(stack, database, world_id)
    _platform(findings, database, there, world_id, users, posts)
    _order(findings, database, there, world_id, posts)
    findings.count("generations", (str(row["_id"]) for row in database[GENERATIONS].find({"world_id": world_id})), 1)
    findings.expect("steps left over", database[STEPS].count_documents({"world_id": world_id}), 0)
    unanswered = database[PUBLICATIONS].count_documents({"world_id": world_id, "status": "sent"})
    findings.expect("publications in doubt", unanswered, 0)
    return findings


def call_counts(database: MongoDatabase, world_id: str) -> CallCounts:
    status = WorldStatus.model_validate(database[STATUS].find_one({"_id": world_id}))
    order = parse_stored(status.parameters)
    planned = plan(request_of(world_id, order))
    made, cut, unusable = Counter[str](), Counter[str](), Counter[str]()
    for row in database[HISTORY].find({"world_id": world_id}, {"api_type": 1, "outcome": 1}):
        made[row["api_type"]] += 1
        cut[row["api_type"]] += row["outcome"] == CUT_OFF
        unusable[row["api_type"]] += row["outcome"] in (InvalidAnswerError.outcome, RefusedError.outcome)
    return CallCounts(
        llm=made[Api.LLM],
        images=made[Api.IMAGE],
        cut_off_llm=cut[Api.LLM],
        cut_off_images=cut[Api.IMAGE],
        planned_llm=sum(planned.llm_calls.values()),
        planned_images=sum(planned.image_calls.values()),
        asked_again=unusable[Api.LLM] + _asked_for_more(database, world_id),
    )


def _asked_for_more(database: MongoDatabase, world_id: str) -> int:
    """Calls after the first one that a run made for the same batch."""
    batches = {"$in": [TaskType.GENERATE_CHARACTER_BATCH.value, TaskType.GENERATE_POST_BATCH.value]}
    well = {"world_id": world_id, "api_type": Api.LLM.value, "outcome": "ok", "labels.task_type": batches}
    group = {"_id": {"task": "$task_id", "run": "$run_id"}, "calls": {"$sum": 1}}
    return sum(row["calls"] - 1 for row in database[HISTORY].aggregate([{"$match": well}, {"$group": group}]))


def _status(findings: Findings, raw: MongoDocument, status: WorldStatus, *, tasks: int, users: int, posts: int) -> None:
    findings.expect("status", status.status, State.COMPLETED)
    findings.expect("stages", {stage.status for stage in status.stages}, {State.COMPLETED})
    findings.expect("tasks_total", status.tasks_total, tasks)
    findings.expect("tasks_completed", status.tasks_completed, tasks)
    findings.expect("tasks_failed", status.tasks_failed, 0)
    findings.expect("users_created", status.users_created, users)
    findings.expect("posts_created", status.posts_created, posts)
    findings.expect("waiting_for", status.waiting_for, None)
    findings.expect("parked", status.parked, None)
    findings.expect("message", status.message, "")
    findings.expect("in_flight", raw.get("in_flight"), {})
    findings.expect("cost_reserved_usd", round(status.cost_reserved_usd, 9), 0.0)
    for made, limit in (("api_calls_made_LLM", "api_call_limits_LLM"), ("api_calls_made_images", "api_call_limits_images")):
        if raw[made] > raw[limit]:
            findings.complaints.append(f"{made}: {raw[made]} is above its limit {raw[limit]}")


def _tasks(findings: Findings, database: MongoDatabase, status: WorldStatus, planned: Mapping[TaskType, int]) -> None:
    rows = list(database[TASKS].find({"world_id": status.world_id}, {"type": 1, "status": 1, "key": 1, "attempt_count": 1}))
    for task_type, wanted in planned.items():
        findings.count(f"tasks {task_type}", (row["key"] for row in rows if row["type"] == task_type), wanted)
    findings.expect("states of tasks", {row["status"] for row in rows}, {State.COMPLETED.value})
    findings.expect("attempts of tasks", {row["attempt_count"] for row in rows}, {1})


def _documents(findings: Findings, database: MongoDatabase, status: WorldStatus, users: int, posts: int) -> None:
    wanted = {"character": users, "post": posts}
    for kind in ASSETS.values():
        number = wanted.get(kind.name.partition("_")[0].removesuffix("s"), 1)
        if kind.one_per_world:
            keys = [str(row["_id"]) for row in database[kind.collection].find({"_id": status.world_id}, {"_id": 1})]
        else:  # documents that an earlier materialization left would appear twice here
            keys = [row["key"] for row in database[kind.collection].find({"world_id": status.world_id}, {"key": 1})]
        findings.count(kind.collection, keys, number)
        pointer = database[POINTERS].find_one({"_id": f"{status.world_id}:{kind.collection}"}) or {}
        findings.expect(f"materialized {kind.collection}", pointer.get("count"), number)


_ENDS = ("cancelled", "failed", "completed")


def _events(findings: Findings, database: MongoDatabase, world_id: str, users: int, posts: int) -> None:
    """Check that each event was sent once, numbered without gaps, the final event last."""
    events = [row["event"] for row in database[WORLD_EVENTS].find({"world_id": world_id}).sort("seq")]
    findings.expect("numbers of events", [event["seq"] for event in events], list(range(1, len(events) + 1)))
    findings.expect("last event", events[-1]["event_type"] if events else None, "completed")
    stopped = max((place for place, event in enumerate(events[:-1]) if event["event_type"] in _ENDS), default=-1)
    stages = [(event["event_type"], event.get("stage")) for event in events[: stopped + 1]]
    # A stage starts again when a run resumes a world that was cancelled, failed, or completed without some items.
    again = [event for event in events[stopped + 1 :] if "stage" in event and (event["event_type"], event["stage"]) in stages]
    events = [event for event in events if event not in again]
    for event_type, field_name, wanted in (
        ("character_created", "key", users),
        ("post_published", "key", posts),
        ("stage_started", "stage", len(Stage)),
        ("stage_finished", "stage", len(Stage)),
    ):
        findings.count(f"events {event_type}", (event[field_name] for event in events if event["event_type"] == event_type), wanted)


def _order(findings: Findings, database: MongoDatabase, there: Published, world_id: str, posts: int) -> None:
    """Check that posts were published in the order of the timeline: by the platform's clock, by ours, and in the events."""
    place_of = {row["post_id"]: row["t"] for row in database[ASSETS["post_images"].collection].find({"world_id": world_id})}
    findings.expect("order on the platform", [place_of.get(post_id) for post_id in there.feed], list(range(posts)))
    events = database[WORLD_EVENTS].find({"world_id": world_id, "event.event_type": "post_published"}).sort("seq")
    findings.expect("order of the events", [row["event"]["t"] for row in events], list(range(posts)))


def _platform(findings: Findings, database: MongoDatabase, there: Published, world_id: str, users: int, posts: int) -> None:
    """Check that the platform has each object once, and no unused object except recorded orphans."""
    findings.count("characters on the platform", there.characters, users)
    findings.count("posts on the platform", there.feed, posts)
    findings.count("media on the platform", there.media, 2 + users + posts)
    findings.expect("media shown", sorted(there.shown), sorted(there.media))
    if there.files is not None:
        findings.expect("pictures on disk", sorted(there.files), sorted(there.media))
    findings.orphans, findings.spare = there.orphans, there.spare
    noted = sum(row.get("possible_orphans", 0) for row in database[PUBLICATIONS].find({"world_id": world_id}))
    findings.expect("orphans that are not recorded", max(0, there.orphans - noted), 0)
