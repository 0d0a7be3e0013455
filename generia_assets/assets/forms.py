"""Launch forms: what a person can fill in where Dagster starts runs, with its help texts; the same classes are the ops' config.

Here: the fields. What they come to (which assets and items a run makes) and what is refused is in runs.py, since an earlier step
than the one that has the form may be the first to take the world. Not here: orders by message (durable/orders/records.py).
"""

from enum import Enum

import dagster as dg
from pydantic import Field

from generia_assets.durable.orders.order import WorldParameters, parse_world


class QualityOption(Enum):
    """How much is spent on a world, by the names the form shows."""

    standard = "standard"
    high = "high"


class PartOption(Enum):
    """What of a world's content can be made again as a whole: an asset, by its name."""

    world_images = "world_images"
    character_briefs = "character_briefs"
    characters = "characters"
    character_avatars = "character_avatars"
    post_briefs = "post_briefs"
    posts = "posts"
    post_images = "post_images"


class WorldRequestConfig(dg.Config):
    """What is ordered. Leave ``prompt`` empty to take what was ordered before (by a message, or by an earlier run)."""

    prompt: str = Field(
        "",
        description="The world in a sentence or two, in your language; everything in it will be in that language. "
        "Example: A town on the back of a slow tortoise; trams, bees, no kings. "
        "Empty: as ordered before (job new_world refuses that).",
    )
    users: int = Field(10, description="How many people: at least 1, at most MAX_USERS (100,000). Exactly so many are made.")
    posts: int = Field(30, description="How many posts: 0 or more, at most MAX_POSTS (1,000,000). Exactly so many are made.")
    quality: QualityOption = Field(
        QualityOption.standard,
        description="standard; or high: every portrait's and post's image prompt is refined by a call of its own, nearly twice the "
        "LLM calls and about 1.4 times the price (generia quote --quality high).",
    )
    max_cost_usd: float = Field(
        0.0,
        description="Cap in US dollars, held before every call: the world is cancelled when it is reached. "
        "0: the installation's default (MAX_COST_USD, or none).",
    )
    seed: int | None = Field(
        None,
        description="The same seed, prompt and counts draw the same people, ties and posts. 0 to 9223372036854775807. "
        "Left out: drawn from the world's id.",
    )

    def parameters(self) -> WorldParameters | None:
        """The order, or None to take the earlier one. Raises ``OrderError``."""
        if not self.prompt:
            return None
        given = {"user_prompt": self.prompt, "users_count": self.users, "posts_count": self.posts, "quality": self.quality.value}
        return parse_world({**given, "max_cost_usd": self.max_cost_usd or None, "seed": self.seed})


class ContentConfig(dg.Config):
    """What of the world's content is made again. With nothing filled in: all of what is selected, for everybody.

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
        description="With part: also everything that is made of it (posts: their pictures, too, and they are published anew); "
        "that is so when it is left out. False: that asset alone; what was made of it stays and may no longer fit.",
    )
    keys: list[str] | None = Field(
        None,
        description="Several items, by key: c0007 is everything of the eighth person, c0007-p0003 that person's fourth post, "
        "world its pictures. Left out: all. The other items stay as they are.",
    )
