"""The plan: how many tasks and calls a world takes, and about how many tokens, before any of them is made.

Here: exact numbers of tasks and calls, estimates of tokens. Not here: prices (the model profiles), spare for repeats (the budget
adds its 25 %, R13). The numbers hold when every answer is usable at once; asking again comes out of the spare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType

from generia_assets.content.documents import Quality, WorldRequest
from generia_assets.content.shares import BATCH, shares


@dataclass(frozen=True)
class TokenEstimate:
    """Tokens of one call, estimated: input with the prefix of system and world, output without thinking."""

    input: int
    output: int


TOKENS_PER_CALL: Mapping[str, TokenEstimate] = MappingProxyType(
    {
        "world_description": TokenEstimate(2_450, 3_200),
        "world_images": TokenEstimate(3_400, 250),
        "character_batch": TokenEstimate(6_500, 2_700),
        "character": TokenEstimate(5_300, 1_600),
        "post_batch": TokenEstimate(7_100, 700),
        "post": TokenEstimate(6_600, 400),
        "refine_avatar": TokenEstimate(3_450, 130),
        "refine_post_image": TokenEstimate(3_600, 130),
    }
)
"""Estimates by request type, measured by ``python -m bench.content`` on rendered prompts of English worlds of 25 people and 150
posts (four characters a token, the prefix of system and world at 3,200; a person told to a post is cached like the prefix from
their second post on). Languages in other scripts take up to twice as many output tokens; inputs are mostly English and hardly
change."""


@dataclass(frozen=True)
class Plan:
    """What a world takes. ``tasks`` by task type, ``llm_calls`` by request type, ``image_calls`` by what the picture is for."""

    tasks: Mapping[str, int]
    llm_calls: Mapping[str, int]
    image_calls: Mapping[str, int]

    @property
    def tasks_total(self) -> int:
        """All tasks of all nine types."""
        return sum(self.tasks.values())

    @property
    def llm_total(self) -> int:
        """All calls of the language model."""
        return sum(self.llm_calls.values())

    @property
    def images_total(self) -> int:
        """All pictures."""
        return sum(self.image_calls.values())

    @property
    def input_tokens(self) -> int:
        """Estimated input tokens of all calls, cached ones included."""
        return sum(TOKENS_PER_CALL[request_type].input * calls for request_type, calls in self.llm_calls.items())

    @property
    def output_tokens(self) -> int:
        """Estimated output tokens of all calls, without thinking."""
        return sum(TOKENS_PER_CALL[request_type].output * calls for request_type, calls in self.llm_calls.items())


def plan(request: WorldRequest) -> Plan:
    """The plan of this world; depends on nothing but the request. 25 people and 150 posts: 205 LLM calls at most, 177 pictures."""
    people, posts = request.users_count, request.posts_count
    given = shares(request.seed, people, posts)
    idea_batches = sum(ceil(share / BATCH) for share in given)
    concept_batches = ceil(people / BATCH)
    refined = request.quality is Quality.HIGH
    return Plan(
        tasks={
            "init_world_creation": 1,
            "generate_world_description": 1,
            "generate_world_image": 1,
            "generate_character_batch": concept_batches,
            "generate_character": people,
            "generate_character_avatar": people,
            "generate_post_batch": idea_batches,
            "generate_post": posts,
            "generate_post_image": posts,
        },
        llm_calls={
            "world_description": 1,
            "world_images": 1,
            "character_batch": concept_batches,
            "character": people,
            "post_batch": idea_batches - given.count(1),  # one post alone is not planned
            "post": posts,
            "refine_avatar": people if refined else 0,
            "refine_post_image": posts if refined else 0,
        },
        image_calls={"world_header": 1, "world_icon": 1, "avatar": people, "post_image": posts},
    )
