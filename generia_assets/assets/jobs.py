"""Jobs and launch forms: a world, and the three ways to make something of a world again. The sensors start job ``world``.

Here: which assets a job selects, the form it opens with, and the forms' fields, which are the ops' config. All are asset jobs over
the same assets: a run of any of them shows in the lineage, has its checks, is retried and limited like every other. (A job with a
config of its own, ``character: c0007`` alone, would have to be an op job that starts another run: two runs for one request, and
none of them in the asset's history until the second ends.) The description is not among the parts: it is a step of its own, and in
a run that skipped it Dagster would skip everything else. Not here: reading and refusing forms (runs.py), because the first step
acquires the world, and the form may belong to a later one; and job ``new_world`` (new_world.py).
"""

from collections.abc import Mapping, Sequence
from enum import Enum

import dagster as dg
from pydantic import Field

from generia_assets.catalog import ASSETS, CONTENT, with_downstream
from generia_assets.content.documents import Quality
from generia_assets.dagster_internals import UnresolvedAssetJobDefinition
from generia_assets.durable.orders.order import WorldParameters, parse_world
from resources.gemini.tiers import ServiceTier

NEW_WORLD = "new_world"
RERUN_PART = "rerun_world_part"
RERUN_CHARACTER = "rerun_character"
RERUN_POST = "rerun_post"

MADE_BY: Mapping[str, Sequence[str]] = {
    "world": tuple(ASSETS),
    RERUN_PART: CONTENT,
    RERUN_CHARACTER: with_downstream("character_briefs"),
    RERUN_POST: with_downstream("posts"),
}
"""The assets that each job makes."""
_FORM = "The form: ▾ beside *Materialize all…*, *Open launchpad*"
"""Only the launchpad opens with the form that is given here; the dialog of *Materialize all…* has none."""


# Forms show the names of members.
QualityOption = Enum("QualityOption", {one.value: one.value for one in Quality})  # type: ignore[misc]  # of the order
TierOption = Enum("TierOption", {one.value: one.value for one in ServiceTier})  # type: ignore[misc]  # of the order
PartOption = Enum("PartOption", {name: name for name in CONTENT})  # type: ignore[misc]  # of the catalogue
"""What of a world's content can be made again as a whole: an asset, by its name."""


class WorldRequestConfig(dg.Config):
    """The order. Leave ``prompt`` empty to use the earlier order (of a message, or of an earlier run)."""

    prompt: str = Field(
        "",
        description="The world in a sentence or two, in your language; everything in it will be in that language. "
        "Example: A town on the back of a slow tortoise; trams, bees, no kings. "
        "Empty: as ordered before.",
    )
    users: int = Field(10, description="How many people: at least 1, at most MAX_USERS (100,000). Exactly so many are made.")
    posts: int = Field(30, description="How many posts: 0 or more, at most MAX_POSTS (1,000,000). Exactly so many are made.")
    quality: QualityOption = Field(
        QualityOption("standard"),
        description="standard; or high: every portrait's and post's image prompt is refined by a call of its own, nearly twice the "
        "LLM calls and about 1.4 times the price (generia quote --quality high).",
    )
    max_cost_usd: float = Field(
        0.0,
        description="Cap in US dollars, held before every call: the world is cancelled when it is reached. "
        "0: the installation's default (MAX_COST_USD, or none).",
    )
    service_tier: TierOption | None = Field(
        None,
        description="Of the language model's calls. flex: half the price, and slow; priority: 1.8 times the price; economy: flex, "
        "and standard for the first posts. Left out: the installation's (SERVICE_TIER).",
    )
    seed: int | None = Field(
        None,
        description="The same seed, prompt and counts give the same people, ties and posts. 0 to 9223372036854775807. "
        "Left out: derived from the world's id.",
    )

    priority: int = Field(
        0, description="Among all worlds, -10 to 10. Higher ones begin first and have more of the calls at once; 0 is usual."
    )

    def parameters(self) -> WorldParameters | None:
        """The order, or None to take the earlier one. Raises ``OrderError``."""
        if not self.prompt:
            return None
        given = {"user_prompt": self.prompt, "users_count": self.users, "posts_count": self.posts, "quality": self.quality.value}
        tier = {"service_tier": self.service_tier.value} if self.service_tier else {}
        more = {"max_cost_usd": self.max_cost_usd or None, "seed": self.seed, "priority": self.priority}
        return parse_world({**given, **tier, **more})


class ContentConfig(dg.Config):
    """The part of the world's content that is made again. With nothing filled in: all selected assets, for all people.

    No field has a default that a launchpad would write down: each job opens with the fields that are its own (jobs.py).
    """

    character: str | None = Field(
        None,
        description="One person, by key (c0007) or @username: becomes somebody else under the same name, with a new concept, life, "
        "avatar and posts. Everybody else stays, but for what they tell of this person. Takes about 3 LLM calls and one more for "
        "each of their posts. Everything of that person that is selected is made; job rerun_character selects all of it.",
    )
    post: str | None = Field(
        None,
        description="One post, by key (c0007-p0003) or by the platform's id: the same occasion in other words, with another "
        "picture, published as a new post. Takes one LLM call and one picture.",
    )
    part: PartOption | None = Field(
        None, description="One asset for the whole world (job rerun_world_part). It must be among the selected assets."
    )
    with_what_follows: bool | None = Field(
        None,
        description="With part: also everything that is made of it (posts: their pictures, too, and they are published again); "
        "that is so when it is left out. False: that asset alone; what was made of it stays and may no longer fit.",
    )
    keys: list[str] | None = Field(
        None,
        description="Several items, by key: c0007 is everything of the eighth person, c0007-p0003 that person's fourth post, "
        "world its pictures. Left out: all. The other items stay as they are.",
    )


def _job(name: str, description: str, form: Mapping[str, Mapping[str, object]] | None = None) -> UnresolvedAssetJobDefinition:
    """An asset job; ``form`` (config by op) is what the launchpad opens with once a partition is chosen.

    The job for a part does not plan the checks of all parts: Dagster would show those of the other parts as "not executed". It
    reports the checks of what it has made (content.py).
    """
    selection = dg.AssetSelection.assets(*MADE_BY[name])
    ops = {op: {"config": dict(config)} for op, config in (form or {}).items()}
    return dg.define_asset_job(
        name,
        selection=selection.without_checks() if name == RERUN_PART else selection,
        executor_def=dg.in_process_executor,
        config={"ops": ops} if ops else None,
        description=description,
    )


world_job = _job(
    "world",
    "Make a world: description, pictures, people, posts. One run is one world; its partition is the world's id. Sensors start it. "
    "By hand, for a world that exists: all of it again, as it was ordered. Limits: `max_concurrent_runs` in dagster.yaml for runs, "
    "slots in MongoDB for calls (`generia status`); Dagster's *Pools* is empty on purpose.",
)
JOBS = [
    world_job,
    _job(
        RERUN_PART,
        f"One part of a world again, for everybody. {_FORM}: choose the world's partition, fill in `part`, *Materialize*. What is "
        "made of that part follows, unless `with_what_follows` is false. Everything is made of the description: to begin there, "
        "launch job `world` for the partition as it is (the old order stands); the description alone: materialize "
        "`world_description`.",
        {"world_content": {"part": "", "with_what_follows": True}},
    ),
    _job(
        RERUN_CHARACTER,
        f"One person becomes somebody else under the same name: concept, life, avatar, posts. {_FORM}: choose the world's "
        "partition, fill in `character` (c0007 or @username), *Materialize*. Everybody else stays, but for what they tell of this "
        "person. The platform's character stays the same one; the posts are new posts.",
        {"world_content": {"character": ""}},
    ),
    _job(
        RERUN_POST,
        f"One post in other words, with another picture, published again. {_FORM}: choose the world's partition, fill in `post` "
        "(c0007-p0003, or the platform's id of it), *Materialize*.",
        {"world_content": {"post": ""}},
    ),
]
