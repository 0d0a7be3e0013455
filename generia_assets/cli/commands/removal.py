"""Taking worlds away: ``generia delete`` (all of one world) and ``generia retire`` (worlds out of Dagster, documents stay)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel

from generia_assets.cli.connections import addresses, database_at, get_world
from generia_assets.cli.console import CommandError, ask, command_name, remarks, results, safe_line
from generia_assets.cli.dagster_link import PARTITIONS, forget, instance_if_known, refuse_active
from generia_assets.cli.options import Json, JsonLines, World, Yes, world_argument
from generia_assets.cli.parsers import flag, option, whole
from generia_assets.cli.rendering.formats import as_json
from generia_assets.content.text import plural
from generia_assets.durable.collections import STATUS
from generia_assets.durable.orders.removal import mark, published, remove_documents, remove_folder
from generia_assets.durable.status import WorldStatus, statuses
from generia_assets.queries.worlds import over
from generia_assets.settings import settings
from resources.mongodb.connection import MongoDatabase
from resources.mongodb.stored import UnreadableRecordError

if TYPE_CHECKING:
    from dagster import DagsterInstance

KeepPlatform = Annotated[
    bool, flag("--keep-platform", "Leave what was published on the platform, pictures too; its ids are listed.")
]
Worlds = Annotated[list[str] | None, world_argument()]
OlderThan = Annotated[
    int | None, option("--older-than", "DAYS", "All that are over and have not changed for so many days.", whole(0))
]


def delete(world: World, keep_platform: KeepPlatform = False, yes: Yes = False, json: Json = False) -> None:
    """Delete a world: documents, pictures, pages, partition and runs in Dagster.

    Requests and answers, tasks and events go, too. Nothing of it can be had back. A world that is being made is refused: stop it
    first. What was published goes from the local platform, unless --keep-platform says otherwise; from the platform's services
    (PLATFORM=grpc) nothing goes, and the ids are listed. If it is cut off in the middle, the same command finishes it. Messages in
    Kafka expire by the topics' own retention.

    \b
    generia delete WORLD
    generia delete WORLD --yes --json | jq .documents
    """
    chosen = settings()
    where = addresses(chosen)
    keep_platform = keep_platform or chosen.platform == "grpc"  # which has no call that deletes
    with database_at(where.mongodb_uri, chosen) as database, instance_if_known(where.dagster_home) as instance:
        world, what = _to_be_deleted(database, world)
        media, pages = _inside(chosen.media_dir, world), _inside(chosen.generia_data_dir / "gallery", world)
        pending = _inside(chosen.pending_dir, world)
        if instance is not None:
            refuse_active(instance, world)
        ask(f"Delete world {what} with all its documents and pictures?", yes=yes)
        mark(database, world)
        kept = published(database, world) if keep_platform else {}
        deleted = Deleted(
            world_id=world,
            runs=None if instance is None else forget(instance, world),
            platform={} if keep_platform else remove_documents(database.client[chosen.platform_database], world),
            pictures=remove_folder(pending) + (0 if keep_platform else remove_folder(media)),
            pages=remove_folder(pages) + remove_folder(pages.with_name(f".{world}.new")),
            documents=remove_documents(database, world),
            kept_on_platform=kept,
        )
    if json:
        typer.echo(as_json(deleted))
    else:
        _print(deleted)


class Deleted(BaseModel):
    """What was deleted of a world: numbers, by collection where there are several. ``runs`` None: Dagster could not be asked."""

    world_id: str
    documents: dict[str, int]
    platform: dict[str, int]
    pictures: int
    pages: int
    runs: int | None
    kept_on_platform: dict[str, list[str]]


def _print(deleted: Deleted) -> None:
    counts = (
        plural(sum(deleted.documents.values()), "document"),
        plural(sum(deleted.platform.values()), "record") + " of the platform",
        plural(deleted.pictures, "picture"),
        plural(deleted.pages, "page"),
        "no runs, since Dagster is not reached from here" if deleted.runs is None else plural(deleted.runs, "run"),
    )
    results().print(f"World {deleted.world_id} is deleted: {', '.join(counts)}.")
    for kind, ids in deleted.kept_on_platform.items():
        for one in ids:
            results().print(f"  stays on the platform: {kind} {safe_line(one)}")


def retire(world: Worlds = None, older_than: OlderThan = None, yes: Yes = False, json: JsonLines = False) -> None:
    """Take worlds that are over out of Dagster; their documents and pictures stay.

    What goes are partition, runs and their events.
    Dagster's pages become slow with tens of thousands of partitions, and its storage grows with each run. A retired world stays in
    `list`, on its pages and for every command that reads. `rerun` and `resume --retry-failed` work as before: they add the
    partition again by themselves. Dagster's pages then show what was made since, and the rest as never materialized.

    \b
    generia retire WORLD
    generia retire --older-than 30 --yes
    """
    if bool(world) == (older_than is not None):
        raise CommandError("give worlds, or --older-than DAYS", 2)
    chosen = settings()
    where = addresses(chosen)
    with database_at(where.mongodb_uri, chosen) as database, instance_if_known(where.dagster_home) as instance:
        named = [get_world(database, one) for one in world or ()]
        if instance is None:
            raise CommandError("DAGSTER_HOME is not set, and no `generia dev` runs from here: run this where the generator runs")
        if older_than is not None:
            named = _old(database, instance, older_than)
        retired = list(dict.fromkeys(one.world_id for one in named))
        for status in named:
            _refuse_unfinished(status)
            refuse_active(instance, status.world_id)
        if retired:
            ask(f"Take {plural(len(retired), 'world')} out of Dagster? Documents and pictures stay.", yes=yes)
        runs = {one: forget(instance, one) for one in retired}
        for one in retired:
            remove_folder(_inside(chosen.pending_dir, one))
    if json:
        for one, count in runs.items():
            typer.echo(as_json({"world_id": one, "retired": True, "runs": count}))
    else:
        results().print(f"{plural(len(runs), 'world')} retired, {plural(sum(runs.values()), 'run')} deleted.")


def _old(database: MongoDatabase, instance: DagsterInstance, days: int) -> list[WorldStatus]:
    """The worlds that are over, have not changed for so many days, and are still partitions; the oldest first."""
    there = set(instance.get_dynamic_partitions(PARTITIONS))
    unchanged = {"updated_at": {"$lt": datetime.now(UTC) - timedelta(days=days)}}
    found = statuses(database[STATUS].find(unchanged).sort("updated_at", 1), lambda one: remarks().print(str(one)))
    return [one for one in found if over(one) and one.world_id in there]


def _to_be_deleted(database: MongoDatabase, world: str) -> tuple[str, str]:
    """The world's id, and the world in words. Raises ``CommandError`` for one that was never ordered, or that is being made."""
    try:
        status = get_world(database, world)
    except UnreadableRecordError as error:
        return error.unreadable.id, f"{error.unreadable.id} (its {error.unreadable})"
    _refuse_unfinished(status)
    return status.world_id, f"{status.world_id} ({safe_line(status.name, 60) or 'without a name'})"


def _refuse_unfinished(status: WorldStatus) -> None:
    if not over(status):
        raise CommandError(f"world {status.world_id} is not over; stop it first: {command_name()} stop {status.world_id}")


def _inside(folder: Path, world: str) -> Path:
    """The world's folder in this one. Raises ``CommandError`` for a name that points elsewhere."""
    inside = (folder / world).resolve()
    if inside.parent != folder.resolve():
        raise CommandError(f"world {safe_line(world, 80)}: is no name of a folder", 2)
    return inside
