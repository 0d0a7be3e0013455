"""The jobs: a new world, and the three ways to make something of a world again. What the sensors start is ``world``.

Here: which assets a job selects, and the form it opens with. All are asset jobs over the same nine assets: a run of any of them
shows in the lineage, has its checks, is retried and limited like every other. (A job with a config of its own, ``character:
c0007`` alone, would have to be an op job that starts another run: two runs for one wish, and none of them in the asset's history
until the second ends.) What a form says is checked before the world is touched and before any call is made (runs.py).
The description is not among the parts: it is a step of its own, and of a run that skipped it Dagster would skip everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from generia_assets.catalog import ASSETS, CONTENT
from generia_assets.dagster_internals import UnresolvedAssetJobDefinition

NEW_WORLD = "new_world"
RERUN_PART = "rerun_world_part"
RERUN_CHARACTER = "rerun_character"
RERUN_POST = "rerun_post"

_FORM = "The form: ▾ beside *Materialize all…*, *Open launchpad*"
"""Only there does a job's form open as it is given here; the dialog of *Materialize all…* begins with none."""
_PERSON = ("character_briefs", "characters", "character_avatars", "post_briefs", "posts", "post_images")
_POST = ("posts", "post_images")


def _job(
    name: str, assets: Sequence[str], description: str, form: Mapping[str, Mapping[str, object]] | None = None
) -> UnresolvedAssetJobDefinition:
    """An asset job; ``form`` (config by op) is what the launchpad opens with once a partition is chosen.

    The one that makes a part does not plan the checks of all parts: those it skips would stand as "not executed" on assets that it
    has not touched. It reports those of what it has made (content.py).
    """
    ops = {op: {"config": dict(config)} for op, config in (form or {}).items()}
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets).without_checks() if name == RERUN_PART else dg.AssetSelection.assets(*assets),
        executor_def=dg.in_process_executor,
        config={"ops": ops} if ops else None,
        description=description,
    )


world_job = _job(
    "world",
    tuple(ASSETS),
    "Make a world: description, pictures, people, posts. One run is one world; its partition is the world's id. Sensors start it. "
    "By hand, for a world that exists: all of it again, as it was ordered.",
)
JOBS = [
    world_job,
    _job(
        NEW_WORLD,
        tuple(ASSETS),
        f"A new world by hand, without Kafka. {_FORM}: *Add new partition* (a short name or a UUID), *Save*, fill in `prompt`, "
        "`users` and `posts`, *Materialize*. `generia quote` tells the price.",
        {"world_request": {"prompt": "", "users": 10, "posts": 30, "quality": "standard", "max_cost_usd": 0.0}},
    ),
    _job(
        RERUN_PART,
        CONTENT,
        f"One part of a world again, for everybody. {_FORM}: choose the world's partition, fill in `part`, *Materialize*. What is "
        "made of that part follows, unless `with_what_follows` is false. Of the description everything is made: to begin there, "
        "launch job `world` for the partition as it is (the old order stands); the description alone: materialize "
        "`world_description`.",
        {"world_content": {"part": "", "with_what_follows": True}},
    ),
    _job(
        RERUN_CHARACTER,
        _PERSON,
        f"One person becomes somebody else under the same name: concept, life, avatar, posts. {_FORM}: choose the world's "
        "partition, fill in `character` (c0007 or @username), *Materialize*. Everybody else stays, but for what they tell of this "
        "person. The platform's character stays the same one; the posts are new posts.",
        {"world_content": {"character": ""}},
    ),
    _job(
        RERUN_POST,
        _POST,
        f"One post in other words, with another picture, published anew. {_FORM}: choose the world's partition, fill in `post` "
        "(c0007-p0003, or the platform's id of it), *Materialize*.",
        {"world_content": {"post": ""}},
    ),
]
