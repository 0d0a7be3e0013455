"""Reading stored documents (E3): each is a record, history, or unreadable and named with its id and the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import pytest
import requests
from bson.codec_options import CodecOptions, DatetimeConversion
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from generia_assets.catalog import TaskType
from generia_assets.cli.health_servers import MOST_NAMED
from generia_assets.content.documents import Post
from generia_assets.durable.collections import HISTORY, STATUS, TASKS
from generia_assets.durable.orders.order import OrderError
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import OURS, WorldStatus, new_status
from generia_assets.durable.tasks.control import ResumeError, ResumeOptions, mark_stopped, resume_world
from generia_assets.pages.metrics import Metrics
from generia_assets.queries.log import newest
from generia_assets.queries.worlds import unreadable_worlds
from resources.mongodb.connection import connect
from resources.mongodb.stored import UnreadableRecord, read
from sensors.run_status import abandoned
from tests.support.command import Command
from tests.support.durable_world import order_of
from tests.support.pages_site import Site, a_site

AS_WE_READ = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="replace"
)
BIRTH = datetime(2026, 11, 1, tzinfo=UTC)
FUZZ = settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


def ours(world_id: str, **changes: Any) -> dict[str, Any]:
    return {**new_status(world_id, {"user_prompt": "a harbour", "task_id": "t"}, users=3, posts=6), **changes}


def of_the_old_worker(world_id: str, **changes: Any) -> dict[str, Any]:
    """A record of the former worker: without costs, owner, generation and our other fields."""
    contract = set(list(WorldStatus.model_fields)[1:21]) - {"llm_cost_total", "image_cost_total"}
    record = {name: value for name, value in ours(world_id).items() if name in contract}
    return {"_id": world_id, **record, **changes}


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from(
        [
            bson.DatetimeMS(2**60),
            bson.ObjectId("0" * 24),
            bson.Decimal128("1e400"),
            bson.Regex("("),
            bson.MinKey(),
            bson.Timestamp(1, 1),
            "9999-12-31T23:59:59-12:00",
            {"$gt": 1},
        ]
    ),
)
keys = st.text(max_size=8).filter(lambda key: "\0" not in key)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6)
fields = st.sampled_from(list(ours("x")))
mutations = st.dictionaries(fields, values, min_size=1, max_size=3)
documents = st.one_of(
    mutations.map(lambda changed: ours("mutated", **{name: value for name, value in changed.items() if name != "_id"})),
    st.tuples(mutations, st.sets(fields, max_size=3)).map(
        lambda both: {name: value for name, value in ours("cut", **both[0]).items() if name not in both[1] or name == "_id"}
    ),
    st.dictionaries(keys, values, max_size=5),
)


@FUZZ
@given(documents)
@example({"_id": bson.ObjectId(), "stages": []})
@example(ours("x", llm_cost_total=float("nan")))
@example(ours("x", updated_at="9999-12-31T23:59:59-12:00"))
@example(ours("x", parameters={"picture": b"\xff"}))
@pytest.mark.case("E3")
@pytest.mark.slow
def test_any_document_is_a_record_or_named(document: dict[str, Any]) -> None:
    """For any stored document the reader never raises, and its result can be shown."""
    stored = bson.decode(bson.encode(document), codec_options=AS_WE_READ)
    found = read(WorldStatus, stored, STATUS)
    if isinstance(found, UnreadableRecord):
        assert found.id
        assert found.reason
    else:
        assert json.loads(found.model_dump_json())["history"] is found.history
        assert found.history is not all(name in stored for name in OURS)
    assert isinstance(read(Post, stored, "posts"), (Post, UnreadableRecord))


@pytest.mark.parametrize("thing", [pytest.param(one, id=f"E3 {one!r}") for one in (None, [], "text", 7, b"bytes")])
def test_a_value_that_is_not_a_document_is_named_too(thing: object) -> None:
    """A result or a record that is not a document is unreadable, with the reason."""
    found = read(WorldStatus, thing, STATUS)
    assert isinstance(found, UnreadableRecord)
    assert "no document" in found.reason


@pytest.fixture
def site(mongo_client: Any, mongodb_uri: str, tmp_path: Path) -> Iterator[Site]:
    with a_site(mongo_client, mongodb_uri, tmp_path) as made:
        yield made


def database_of(site: Site, uri: str) -> Any:
    """As the product opens it."""
    return connect(uri)[site.database.name]


GARBAGE: dict[str, dict[str, Any]] = {
    "no-stages": {name: value for name, value in ours("no-stages").items() if name != "stages"},
    "empty-stages": ours("empty-stages", stages=[]),
    "odd-status": ours("odd-status", status="dreaming"),
    "wrong-types": ours("wrong-types", tasks_total="many", owner="me", status="in_progress"),
    "far-future": ours("far-future", updated_at=bson.DatetimeMS(2**60)),
    "no-date": ours("no-date", updated_at="yesterday", created_at=None),
    "bytes": ours("bytes", parameters={"picture": b"\xff"}),
}


@pytest.mark.case("E3")
def test_unreadable_records_hide_no_others(site: Site, mongodb_uri: str, broker: str, tmp_path: Path) -> None:
    """List, page, doctor and metrics show the readable worlds, and name each unreadable record with the reason."""
    good = site.world(users=2, posts=2).make()
    site.database[STATUS].insert_many([*GARBAGE.values(), {"_id": bson.ObjectId("a" * 24), "x": 1}, of_the_old_worker("old")])
    ids = {*GARBAGE, "ObjectId('" + "a" * 24 + "')"}
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_API_VERSION": "2.3"}
    cli = Command(tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": site.database.name, **kafka})

    status, out, _ = cli.call("list")
    assert status == 0
    assert "history: pending" in out
    assert [line for line in out.splitlines() if good.world_id in line and "completed" in line]
    assert {one for one in ids if f"unreadable: {one}: " in out} == ids

    status, out, _ = cli.call("list", "--json")
    listed = [json.loads(line) for line in out.splitlines()]
    assert (status, {one["world_id"] for one in listed if one.get("unreadable")}) == (0, ids)
    assert {one["world_id"]: one["history"] for one in listed if "history" in one} == {good.world_id: False, "old": True}

    page = requests.get(site.address, timeout=60)
    assert page.status_code == 200
    assert f'data-world="{good.world_id}"' in page.text
    assert 'data-world="old"' in page.text
    assert {one for one in ids if f'data-unreadable="{one}"' in page.text.replace("&#39;", "'")} == ids

    figures = requests.get(f"{site.address}/metrics", timeout=60).text
    assert f"generia_unreadable_worlds {len(ids)}.0" in figures
    assert 'generia_worlds{state="history"} 1.0' in figures
    assert 'generia_measured{part="worlds"} 1.0' in figures
    assert {one.id for one in unreadable_worlds(database_of(site, mongodb_uri))} == ids

    status, out, _ = cli.call("doctor")
    assert f"(and {len(ids) - MOST_NAMED} more)" in out

    status, _, err = cli.call("status", "odd-status")
    assert (status, "odd-status" in err, "status: Input should be" in err) == (1, True, True)
    assert requests.get(f"{site.address}/worlds/odd-status", timeout=60).status_code == 404


@pytest.mark.case("E3")
def test_history_is_shown_and_never_changed(site: Site, mongodb_uri: str, tmp_path: Path) -> None:
    """A world of the former worker can be read everywhere; watchdog, stop, resume and orders do not change it."""
    database = database_of(site, mongodb_uri)
    long_ago = datetime.now(UTC) - timedelta(days=9)
    record = of_the_old_worker("old", status="in_progress", updated_at=long_ago, created_at=long_ago)
    task = {"_id": "t1", "type": "generate_post", "world_id": "old", "status": "completed", "worker_id": "w", "parameters": {}}
    call = {"_id": "h1", "api_type": "llm", "task_id": "t1", "world_id": "old", "request_type": "post", "error": None}
    database[STATUS].insert_one(record)
    times = {"created_at": long_ago, "updated_at": long_ago}
    database[TASKS].insert_one({**task, "result": {"text": "x"}, "attempt_count": 1, "error": None, **times})
    database[HISTORY].insert_one({**call, "request_data": {}, "response_data": {}, "duration_ms": 12.5, "created_at": long_ago})
    before = database[STATUS].find_one({"_id": "old"})

    assert list(abandoned(database, 1.0, 1.0)) == []
    assert mark_stopped(database, "old") is False
    with pytest.raises(ResumeError, match="former worker"):
        resume_world(database, "old", ResumeOptions())
    for task_type in (TaskType.INIT_WORLD_CREATION, TaskType.GENERATE_POST):
        order = order_of(
            task_id=f"new-{task_type}",
            task_type=task_type,
            world_id="old",
            parameters={"user_prompt": "a", "users_count": 1, "posts_count": 1} if task_type.value.startswith("init") else {},
        )
        with pytest.raises(OrderError, match="former worker"):
            record_order(database, order, max_users=10, max_posts=10)
    assert database[STATUS].find_one({"_id": "old"}) == before

    cli = Command(tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": site.database.name})
    for words in (("status", "old"), ("history", "old"), ("stats", "old"), ("logs", "old"), ("show", "old"), ("watch", "old")):
        status, _, err = cli.call(*words)
        assert status in (0, 1), (words, err)
        assert "Traceback" not in err
    assert "kept as history" in cli.call("status", "old")[1]
    page = requests.get(f"{site.address}/worlds/old", timeout=60)
    assert (page.status_code, "Made by the former worker" in page.text) == (200, True)
    assert len(newest(database, "old", 10, calls=True)) == 2


@pytest.mark.case("E3")
def test_documents_that_cannot_be_read_are_named_on_the_page(site: Site, mongodb_uri: str) -> None:
    """A person, post or task whose document is damaged is left out and named; all others are shown."""
    world = site.world(users=4, posts=8).make()
    world.trace("c0001-p0001")
    damaged = [("characters", "c0001", {"relationships": 5}), ("post_images", "c0002-p0000", {"published_at": "soon"})]
    for collection, key, change in damaged:
        site.database[collection].update_one({"world_id": world.world_id, "key": key}, {"$set": change})
    site.database[TASKS].insert_one(
        {"_id": "odd", "world_id": world.world_id, "generation": 5, "type": ["x"], "status": "completed"}
    )
    site.database[HISTORY].insert_one({"_id": "odd", "world_id": world.world_id, "labels": "none", "created_at": "soon"})
    feed = requests.get(site.page_of(world), timeout=60)
    assert feed.status_code == 200
    assert feed.text.count('<article class="post') == 5  # c0001 had two posts, and one picture's record is damaged
    assert feed.text.count("data-unreadable=") == 2
    for path in ("/people", "/about", "/characters/c0002", "/posts/c0002-p0001", "/characters/c0001", "/posts/c0002-p0000"):
        assert requests.get(site.page_of(world, path), timeout=60).status_code in (200, 404), path
    assert b"generia_measured" in Metrics(database_of(site, mongodb_uri)).text()


@pytest.mark.case("E3")
def test_pages_and_lists_work_with_damaged_records_of_every_kind(site: Site, mongodb_uri: str, tmp_path: Path) -> None:
    """With mutated records of every kind in one collection no page and no command fails."""
    found: list[dict[str, Any]] = []

    @settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(documents)
    def collect(document: dict[str, Any]) -> None:
        if not any(name.startswith("$") for name in document):
            found.append({**document, "_id": f"w{len(found)}"})

    collect()
    site.database[STATUS].insert_many(found)
    cli = Command(tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": site.database.name})
    status, out, err = cli.call("list", "--json")
    assert (status, len(out.splitlines())) == (0, len(found)), err
    assert cli.call("list", "--limit", "1000")[0] == 0
    assert requests.get(site.address, timeout=60).status_code == 200
    assert 'generia_measured{part="worlds"} 1.0' in requests.get(f"{site.address}/metrics", timeout=60).text
    for record in found[::3]:
        assert requests.get(f"{site.address}/worlds/{record['_id']}", timeout=60).status_code in (200, 404)
        assert cli.call("status", record["_id"])[0] in (0, 1)
