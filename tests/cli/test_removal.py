"""Removing worlds (E6): ``generia delete`` removes everything, ``generia retire`` keeps the documents."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import dagster as dg
import pytest
from pymongo.collection import Collection

from emulators.gemini.client import EmulatorControl
from generia_assets.catalog import TaskType
from generia_assets.durable.collections import GENERATIONS, PUBLICATIONS, STATUS
from generia_assets.durable.orders import removal
from generia_assets.durable.orders.intake import StoredDeadLetter, keep
from generia_assets.durable.orders.order import OrderError
from generia_assets.durable.orders.records import record_order
from generia_assets.durable.status import HistoryWorldError, new_status, world_to_work_on
from generia_assets.partitions import worlds as partitions_definition
from generia_assets.retirement import PARTITIONS
from resources.mongodb.document_store import POINTERS
from tests.support.command import Command
from tests.support.durable_world import order_of
from tests.support.pages_world import MadeUp
from tests.support.worlds_in_process import Worlds, worlds_in_process


@pytest.fixture(scope="module")
def worlds(mongodb_uri: str, broker: str, gemini_process: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """Worlds with a Dagster instance in a folder, like that of a running generator."""
    home = tmp_path_factory.mktemp("removal")
    with worlds_in_process(home / "data", mongodb_uri=mongodb_uri, broker=broker, gemini=gemini_process, checks=True) as made:
        EmulatorControl(gemini_process).reset()  # of the faults of earlier tests
        made.instance.dispose()
        (home / "dagster").mkdir()
        (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        made.instance = dg.DagsterInstance.from_config(str(home / "dagster"))
        yield made


@pytest.fixture
def cli(worlds: Worlds, mongodb_uri: str) -> Command:
    home = worlds.settings.generia_data_dir
    names = {"MONGODB_DATABASE": worlds.settings.mongodb_database, "PLATFORM_DATABASE": worlds.settings.platform_database}
    return Command(home, {"MONGODB_URI": mongodb_uri, "DAGSTER_HOME": str(home.parent / "dagster"), **names})


@pytest.fixture(scope="module")
def pair(worlds: Worlds) -> tuple[str, str]:
    """Two finished worlds of the same kind, each with a page written as a file: one to be deleted, one to be retired."""
    ids = []
    for number in range(2):
        world_id = f"pair-{number}"
        leave_pending(worlds, world_id)
        _, made = worlds.make(world_id, users=1, posts=1)
        assert made.success, made.failure
        page = worlds.settings.generia_data_dir / "gallery" / world_id / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(world_id)
        ids.append(world_id)
    return ids[0], ids[1]


def leave_pending(worlds: Worlds, world_id: str) -> None:
    """A pending picture, whose run died during the upload."""
    folder = worlds.settings.pending_dir / world_id
    folder.mkdir(parents=True)
    (folder / "left.jpg").write_bytes(b"a picture")


def everything(worlds: Worlds, world_id: str) -> dict[str, list[bytes]]:
    """Every document of both databases that contains the world's id, and every file, byte for byte."""
    found: dict[str, list[bytes]] = {}
    for database in (worlds.database, worlds.platform):
        for name in database.list_collection_names():
            raw = [bson.encode(one) for one in database[name].find().sort("_id", 1)]
            found[f"{database.name}.{name}"] = [one for one in raw if world_id.encode() in one]
    files = [path for path in worlds.settings.generia_data_dir.rglob("*") if path.is_file() and world_id in str(path)]
    return {**{name: raw for name, raw in found.items() if raw}, **{str(path): [path.read_bytes()] for path in files}}


def in_dagster(worlds: Worlds, texts: list[str]) -> list[str]:
    """The tables and files of Dagster's storage that contain one of the texts."""
    home = worlds.settings.generia_data_dir.parent / "dagster"
    found = [str(path) for path in home.rglob("*") if any(text in path.name for text in texts)]
    for path in home.rglob("*.db"):
        with sqlite3.connect(path) as connection:
            for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
                rows = connection.execute(f"select * from {table}").fetchall()
                found += [f"{path.name}.{table}"] * sum(any(text in repr(row) for text in texts) for row in rows)
    return found


@pytest.mark.case("E6")
def test_a_deleted_world_leaves_no_trace(worlds: Worlds, cli: Command, pair: tuple[str, str]) -> None:
    """Collections, pictures, pages and Dagster's storage have nothing of it; the other world is unchanged, byte for byte."""
    gone, neighbour = pair
    before = everything(worlds, neighbour)
    runs = [run.run_id for run in worlds.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": gone}))]
    assert len(everything(worlds, gone)) > 12
    leave_pending(worlds, gone)
    value = f'{{"world_id": "{gone}"}}'.encode()
    keep(worlds.database, [StoredDeadLetter("t:0:1", datetime.now(UTC), None, value, {}, "no broker")])
    assert in_dagster(worlds, [gone, *runs])

    assert cli.call("delete", gone) == (2, "", cli.call("delete", gone)[2])  # nobody can answer a question here
    status, out, err = cli.call("delete", gone, "--yes", "--json")
    assert status == 0, err
    deleted = json.loads(out)
    assert (deleted["world_id"], deleted["runs"], deleted["pictures"], deleted["pages"]) == (gone, 1, 5, 1)
    assert deleted["documents"][STATUS] == 1
    assert deleted["platform"]["platform_posts"] == 1

    assert everything(worlds, gone) == {}
    assert in_dagster(worlds, [gone, *runs]) == []
    posts = dg.AssetKey("posts")
    newest = worlds.instance.get_latest_materialization_event(posts)
    assert newest is not None
    assert newest.asset_materialization.partition == neighbour
    assert everything(worlds, neighbour) == before
    assert gone not in worlds.instance.get_dynamic_partitions(PARTITIONS)
    assert cli.call("status", gone)[0] in (1, 2)
    assert cli.call("delete", gone, "--yes")[0] in (1, 2)


@pytest.fixture
def made_up(worlds: Worlds) -> Iterator[MadeUp]:
    """A finished world that has only documents, and its records on the platform."""
    world = MadeUp(worlds.database, worlds.settings.media_dir, users=1, posts=1).make()
    publication = {"_id": f"p:{world.world_id}", "world_id": world.world_id, "kind": "post", "answer": f"post of {world.world_id}"}
    worlds.database[PUBLICATIONS].insert_one(publication)
    worlds.platform["platform_posts"].insert_one({"_id": publication["answer"], "world_id": world.world_id})
    yield world
    removal.remove_documents(worlds.platform, world.world_id)
    removal.remove_folder(worlds.settings.media_dir / world.world_id)


@pytest.mark.case("E6")
@pytest.mark.parametrize("as_json", [True, False])
def test_published_records_can_be_kept(worlds: Worlds, cli: Command, made_up: MadeUp, as_json: bool) -> None:
    """--keep-platform keeps the platform's records and pictures, and lists their ids."""
    world_id = made_up.world_id
    status, out, err = cli.call("delete", world_id, "--yes", "--keep-platform", *(["--json"] if as_json else []))
    assert status == 0, err
    if as_json:
        assert json.loads(out)["kept_on_platform"] == {"post": [f"post of {world_id}"]}
    else:
        assert f"stays on the platform: post post of {world_id}" in out
    left = everything(worlds, world_id)
    assert [name for name in left if name.startswith(f"{worlds.platform.name}.")] == [f"{worlds.platform.name}.platform_posts"]
    assert [name for name in left if name.startswith(f"{worlds.database.name}.")] == []
    assert len([name for name in left if name.endswith(".png")]) == 4


def test_records_of_the_platforms_services_stay_and_are_listed(worlds: Worlds, cli: Command, made_up: MadeUp) -> None:
    """The services cannot delete: the operator gets the ids."""
    cli.settings |= {"PLATFORM": "grpc", "CONSUL_ADDRESS": "127.0.0.1:1"}
    status, out, err = cli.call("delete", made_up.world_id, "--yes", "--json")
    assert (status, json.loads(out)["platform"]) == (0, {}), err
    assert json.loads(out)["kept_on_platform"] == {"post": [f"post of {made_up.world_id}"]}


@pytest.mark.case("E6")
@pytest.mark.parametrize("dies_at", ["platform_posts", POINTERS, "posts", PUBLICATIONS, STATUS])
def test_an_interrupted_deletion_is_completed_by_the_same_command(
    worlds: Worlds, cli: Command, made_up: MadeUp, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    """Whenever a deletion is interrupted, no run and no order can work on the world, and the same command deletes the rest.

    The points: the first, before the pointers, between them and the posts, and the last two. Only collections that exist are asked.
    """
    world_id, delete_many = made_up.world_id, Collection.delete_many
    existing = {f"{there.name}.{name}" for there in (worlds.platform, worlds.database) for name in there.list_collection_names()}
    deleted: list[str] = []

    def dying(collection: Any, *given: Any) -> Any:
        if collection.name == dies_at:
            raise KeyboardInterrupt
        deleted.append(collection.full_name)
        return delete_many(collection, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "delete_many", dying)
        assert cli.call("delete", world_id, "--yes")[0] == 130
    left = everything(worlds, world_id)
    assert dies_at in {name.rpartition(".")[2] for name in left}
    assert set(deleted) <= existing - set(left)
    assert (f"{worlds.database.name}.{POINTERS}" in deleted) == (dies_at in ("posts", PUBLICATIONS, STATUS))
    assert (f"{worlds.database.name}.posts" in deleted) == (dies_at in (PUBLICATIONS, STATUS))
    assert "being deleted" in cli.call("list")[1]
    order = order_of(task_id="again", task_type=TaskType.GENERATE_POST, world_id=world_id, parameters={})
    with pytest.raises(OrderError, match="is being deleted"):
        record_order(worlds.database, order, max_users=9, max_posts=9)
    with pytest.raises(HistoryWorldError, match="is being deleted"):
        world_to_work_on(worlds.raw_status(world_id))
    assert cli.call("delete", world_id, "--yes")[0] == 0
    assert everything(worlds, world_id) == {}


@pytest.mark.case("E6")
def test_a_world_that_is_being_made_is_refused(worlds: Worlds, cli: Command) -> None:
    """Neither command changes a world that is not over, that a run owns, or that has a queued or starting run."""
    for world_id, values, message in (
        ("ordered", {"status": "pending"}, "is not over"),
        ("owned", {"status": "completed", "owner.run_id": "r", "owner.expires_at": datetime.now(UTC) + timedelta(hours=1)}, "stop"),
        ("queued", {"status": "completed"}, "is STARTED; stop it first"),
    ):
        record_order(
            worlds.database,
            order_of(
                task_id=f"t-{world_id}",
                task_type=TaskType.INIT_WORLD_CREATION,
                world_id=world_id,
                parameters={"user_prompt": "a", "users_count": 1, "posts_count": 0},
            ),
            max_users=9,
            max_posts=9,
        )
        worlds.database[STATUS].update_one({"_id": world_id}, {"$set": values})
        if world_id == "queued":
            worlds.instance.add_run(
                dg.DagsterRun(job_name="world", tags={"dagster/partition": world_id}, status=dg.DagsterRunStatus.STARTED)
            )
        before = everything(worlds, world_id)
        status, _, err = cli.call("delete", world_id, "--yes")
        assert (status, message in err) == (1, True), err
        if world_id != "owned":
            assert cli.call("retire", world_id, "--yes")[0] == 1
        assert everything(worlds, world_id) == before
        removal.remove_documents(worlds.database, world_id)


@pytest.mark.case("E6")
def test_filters_delete_finished_worlds_and_leave_the_others(worlds: Worlds, cli: Command) -> None:
    """All matching worlds are deleted, worlds in progress are left out and named, and --dry-run deletes nothing."""
    for world_id, state in (("goes-1", "failed"), ("goes-2", "completed"), ("stays", "in_progress")):
        record = new_status(world_id, {"user_prompt": "a heap of rubbish"}, users=1, posts=0)
        worlds.database[STATUS].insert_one({**record, "status": state})
        worlds.instance.add_dynamic_partitions(PARTITIONS, [world_id])
    assert json.loads(cli.call("delete", "--prompt", "rubbish", "--dry-run", "--json")[1]) == {"worlds": 2}
    status, out, err = cli.call("delete", "--prompt", "rubbish", "--yes", "--json")
    assert (status, "1 world left out" in err) == (0, True), err
    assert {json.loads(line)["world_id"] for line in out.splitlines()} == {"goes-1", "goes-2"}
    assert [one["_id"] for one in worlds.database[STATUS].find({"parameters.user_prompt": "a heap of rubbish"})] == ["stays"]
    assert [one for one in worlds.instance.get_dynamic_partitions(PARTITIONS) if one.startswith(("goes", "stays"))] == ["stays"]
    assert cli.call("delete", "stays", "--prompt", "rubbish", "--yes")[0] == cli.call("delete", "--yes")[0] == 2
    removal.remove_documents(worlds.database, "stays")
    worlds.instance.delete_dynamic_partition(PARTITIONS, "stays")


@pytest.mark.case("E6")
def test_a_retired_world_keeps_its_documents(worlds: Worlds, cli: Command, pair: tuple[str, str]) -> None:
    """Partition and runs are deleted from Dagster; all else is unchanged; a later run adds the partition again."""
    world_id = pair[1]
    long_ago = datetime.now(UTC) - timedelta(days=40)
    worlds.database[STATUS].update_one({"_id": world_id}, {"$set": {"updated_at": long_ago}})
    before = everything(worlds, world_id)
    assert not (worlds.settings.pending_dir / world_id).exists()  # the end of the world has removed earlier leftovers
    leave_pending(worlds, world_id)
    status, out, err = cli.call("retire", "--older-than", "30", "--yes", "--json")
    assert (status, json.loads(out)) == (0, {"world_id": world_id, "retired": True, "runs": 1}), err
    assert everything(worlds, world_id) == before
    assert world_id not in worlds.instance.get_dynamic_partitions(PARTITIONS)
    assert not worlds.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": world_id}))
    assert cli.call("retire", "--older-than", "30", "--yes")[1].startswith("0 worlds retired")
    assert world_id in cli.call("list")[1]
    assert cli.call("retire", "--yes")[0] == cli.call("retire", world_id, "--older-than", "3", "--yes")[0] == 2

    generations = worlds.database[GENERATIONS].count_documents({"world_id": world_id})
    assert worlds.run(world_id, select=["posts"]).success
    assert worlds.database[GENERATIONS].count_documents({"world_id": world_id}) == generations + 1
    assert partitions_definition.name == PARTITIONS
    assert world_id in worlds.instance.get_dynamic_partitions(PARTITIONS)
