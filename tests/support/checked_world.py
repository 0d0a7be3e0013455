"""A finished world whose documents a test damages: executing one check, and restoring the world."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from generia_assets.assets.checks import ALL
from generia_assets.assets.checks.finding import World
from generia_assets.catalog import ASSETS
from tests.support.worlds_in_process import Worlds

WORLD = "checked"


@contextmanager
def restored_after(worlds: Worlds) -> Iterator[Worlds]:
    """The world; after the test its documents, records and pictures are restored."""
    names = [kind.collection for kind in ASSETS.values()]
    names += ["world_generation_status", "world_events", "publications", "materializations", "api_requests_history"]
    kept = {name: list(worlds.database[name].find()) for name in names}
    media = {path: path.read_bytes() for path in worlds.settings.media_dir.rglob("*") if path.is_file()}
    yield worlds
    for name, rows in kept.items():
        worlds.database[name].delete_many({})
        worlds.database[name].insert_many(rows)
    for path, data in media.items():
        path.write_bytes(data)


def asked(worlds: Worlds, asset: str, name: str) -> Any:
    """The result of this check for the world, without a run of Dagster."""
    (check,) = (check for check in ALL if (check.asset, check.name) == (asset, name))
    return check.evaluate(World(WORLD, worlds.database, worlds.settings.media_dir))


def all_asked(worlds: Worlds) -> dict[str, Any]:
    """The result of every check for the world, by name, from a run of Dagster."""
    answers = asked_in_a_run(worlds, worlds.defs.resolve_asset_graph().asset_check_keys)
    return {answer.check_name: answer for answer in answers}


def asked_in_a_run(worlds: Worlds, keys: Iterable[dg.AssetCheckKey]) -> Sequence[dg.AssetCheckEvaluation]:
    """The results of these checks for the world, executed as by the button on an asset's page."""
    job = worlds.defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection=set(keys))
    made = job.execute_in_process(instance=worlds.instance, partition_key=WORLD, raise_on_error=True)
    return made.get_asset_check_evaluations()


def change(worlds: Worlds, asset: str, key: str, values: dict[str, Any]) -> None:
    """Change one document of the world by hand."""
    changed = worlds.database[ASSETS[asset].collection].update_one({"world_id": WORLD, "key": key}, {"$set": values})
    assert changed.modified_count == 1


def comment_on(worlds: Worlds, post: Any, content: str, **by: str) -> None:
    """Let this be the only comment on a post, by its author if nobody else is named."""
    comment = {"character": post.character, "username": post.username, "content": content}
    change(worlds, "posts", post.key, {"comments": [comment | by]})


def first(worlds: Worlds, asset: str, place: int = 0) -> Any:
    """One of the asset's documents, in order of their keys."""
    return worlds.documents(asset, WORLD)[place]
