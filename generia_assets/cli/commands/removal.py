"""Removing worlds: ``generia delete`` (everything of them) and ``generia retire`` (out of Dagster; documents stay)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel

from generia_assets.cli.connections import addresses, database_at, get_world, settings
from generia_assets.cli.console import CommandError, ask, command_name, remarks, results, safe_line
from generia_assets.cli.options import CountOnly, JsonLines, Yes, flag, option, whole
from generia_assets.cli.rendering.formats import as_json, print_result
from generia_assets.cli.selection import After, Before, CostOver, Filters, PromptText, StateOption, Worlds, require_one_way
from generia_assets.content.text import plural
from generia_assets.durable.status import WorldStatus
from resources.mongodb.stored import UnreadableRecord, UnreadableRecordError

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from generia_assets.settings import Settings
    from resources.mongodb.connection import MongoDatabase

KeepPlatform = Annotated[
    bool, flag("--keep-platform", "Leave what was published on the platform, pictures too; its ids are listed.")
]
OlderThan = Annotated[
    int | None, option("--older-than", "DAYS", "All that are over and have not changed for so many days.", whole(0))
]


def delete(
    world: Worlds = None,
    state: StateOption = None,
    prompt: PromptText = None,
    ordered_before: Before = None,
    ordered_after: After = None,
    cost_over: CostOver = None,
    keep_platform: KeepPlatform = False,
    dry_run: CountOnly = False,
    yes: Yes = False,
    json: JsonLines = False,
) -> None:
    """Requests and answers, tasks and events go, too. Nothing of it can be had back. A world that is being made is refused: stop it
    first; filters leave such worlds out. What was published goes from the local platform, unless --keep-platform says otherwise;
    from the platform's services (PLATFORM=grpc) nothing goes, and the ids are listed. If it is cut off in the middle, the same
    command finishes it. Messages in Kafka expire by the topics' own retention.

    \b
    generia delete WORLD
    generia delete WORLD --yes --json | jq .documents
    generia delete --state failed --ordered-before 30d --dry-run
    """
    from generia_assets.cli.dagster_link import instance_if_known
    from generia_assets.durable.orders.removal import mark
    from generia_assets.retirement import forget, in_batches

    filters = Filters(state, prompt, ordered_before, ordered_after, cost_over)
    require_one_way(world, filters, ways="worlds, or filters")
    chosen = settings()
    where = addresses(chosen)
    keep_platform = keep_platform or chosen.platform == "grpc"  # which has no call that deletes
    with database_at(where.mongodb_uri, chosen) as database, instance_if_known(where.dagster_home) as instance:
        named = dict(_to_be_deleted(database, one) for one in world) if world else _over(database, filters)
        for one in named:
            _inside(chosen.media_dir, one)
        if instance is not None:
            _refuse_busy(instance, list(named))
        if dry_run:
            print_result({"worlds": len(named)}, f"{plural(len(named), 'world')} would be deleted.", json=json)
            return
        what = f"world {next(iter(named.values()))}" if len(named) == 1 else plural(len(named), "world")
        ask(f"Delete {what} with all documents and pictures?", yes=yes)
        for batch in in_batches(list(named)):
            for one in batch:
                mark(database, one)
            runs = {} if instance is None else forget(instance, batch)
            for one in batch:
                deleted = _delete(database, chosen, one, runs=runs.get(one), keep_platform=keep_platform)
                if json:
                    typer.echo(as_json(deleted))
                else:
                    _print(deleted)


def _delete(database: MongoDatabase, chosen: Settings, world: str, *, runs: int | None, keep_platform: bool) -> Deleted:
    from generia_assets.durable.orders.removal import published, remove_documents, remove_folder

    pending, pages = _inside(chosen.pending_dir, world), _inside(chosen.generia_data_dir / "gallery", world)
    kept = published(database, world) if keep_platform else {}
    return Deleted(
        world_id=world,
        runs=runs,
        platform={} if keep_platform else remove_documents(database.client[chosen.platform_database], world),
        pictures=remove_folder(pending) + (0 if keep_platform else remove_folder(_inside(chosen.media_dir, world))),
        pages=remove_folder(pages) + remove_folder(pages.with_name(f".{world}.new")),
        documents=remove_documents(database, world),
        kept_on_platform=kept,
    )


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


def retire(
    world: Worlds = None,
    older_than: OlderThan = None,
    state: StateOption = None,
    prompt: PromptText = None,
    ordered_before: Before = None,
    ordered_after: After = None,
    cost_over: CostOver = None,
    dry_run: CountOnly = False,
    yes: Yes = False,
    json: JsonLines = False,
) -> None:
    """Partitions, runs and their events are deleted. Dagster's pages become slow with tens of thousands of partitions, and its
    storage grows with each run. A retired world stays in `list`, on its pages and for every command that reads. `rerun` and `resume
    --retry-failed` work as before: they add the partition again by themselves. Dagster's pages then show what was made since, and
    the rest as never materialized. With RETIRE_AFTER_DAYS the generator does this by itself.

    \b
    generia retire WORLD
    generia retire --older-than 30 --yes
    """
    from generia_assets.cli.dagster_link import instance_if_known
    from generia_assets.durable.orders.removal import remove_folder
    from generia_assets.retirement import forget, in_batches, old_worlds

    filters = Filters(state, prompt, ordered_before, ordered_after, cost_over)
    require_one_way(world, filters or older_than is not None, ways="worlds, or --older-than DAYS, or filters")
    chosen = settings()
    where = addresses(chosen)
    with database_at(where.mongodb_uri, chosen) as database, instance_if_known(where.dagster_home) as instance:
        named = [get_world(database, one) for one in world or ()]
        if instance is None:
            raise CommandError("DAGSTER_HOME is not set, and no `generia dev` runs from here: run this where the generator runs")
        if named:
            for status in named:
                _refuse_unfinished(status)
            retired = list(dict.fromkeys(status.world_id for status in named))
        else:
            retired = list(old_worlds(database, instance, older_than or 0, _remark, filters.query))
        _refuse_busy(instance, retired)
        if dry_run:
            print_result({"worlds": len(retired)}, f"{plural(len(retired), 'world')} would be retired.", json=json)
            return
        if retired:
            ask(f"Remove {plural(len(retired), 'world')} from Dagster? Documents and pictures stay.", yes=yes)
        runs: dict[str, int] = {}
        for batch in in_batches(retired):
            runs |= forget(instance, batch)
            for one in batch:
                remove_folder(_inside(chosen.pending_dir, one))
                if json:
                    typer.echo(as_json({"world_id": one, "retired": True, "runs": runs[one]}))
    if not json:
        results().print(f"{plural(len(runs), 'world')} retired, {plural(sum(runs.values()), 'run')} deleted.")


def _over(database: MongoDatabase, filters: Filters) -> dict[str, str]:
    """The worlds that fit the filters and are over, each with its name."""
    from generia_assets.queries.worlds import over, worlds_found

    found = list(worlds_found(database, filters.query, _remark))
    if left := sum(not over(one) for one in found):
        remarks().print(f"{plural(left, 'world')} left out: being made. To stop the same ones: {command_name()} stop")
    return {one.world_id: _in_words(one) for one in found if over(one)}


def _remark(unreadable: UnreadableRecord) -> None:
    remarks().print(f"left out: {safe_line(unreadable.id)}: {safe_line(str(unreadable), 300)}")


def _refuse_busy(instance: DagsterInstance, world_ids: list[str]) -> None:
    """Raise ``CommandError`` while one of these worlds has a run that has not ended."""
    from generia_assets.retirement import runs_in_the_way

    busy = runs_in_the_way(instance, world_ids if len(world_ids) == 1 else ())
    for one in world_ids:
        if one in busy:
            raise CommandError(f"world {one}: {busy[one]}; stop it first: {command_name()} stop {one}")


def _to_be_deleted(database: MongoDatabase, world: str) -> tuple[str, str]:
    """The world's id, and the world in words. Raises ``CommandError`` for one that was never ordered, or that is being made."""
    try:
        status = get_world(database, world)
    except UnreadableRecordError as error:
        return error.unreadable.id, f"{error.unreadable.id} (its {error.unreadable})"
    _refuse_unfinished(status)
    return status.world_id, _in_words(status)


def _in_words(status: WorldStatus) -> str:
    return f"{status.world_id} ({safe_line(status.name, 60) or 'without a name'})"


def _refuse_unfinished(status: WorldStatus) -> None:
    from generia_assets.queries.worlds import over

    if not over(status):
        raise CommandError(f"world {status.world_id} is not over; stop it first: {command_name()} stop {status.world_id}")


def _inside(folder: Path, world: str) -> Path:
    """The world's folder in this one. Raises ``CommandError`` for a name that points elsewhere."""
    inside = (folder / world).resolve()
    if inside.parent != folder.resolve():
        raise CommandError(f"world {safe_line(world, 80)}: is no name of a folder", 2)
    return inside
