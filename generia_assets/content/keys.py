"""Keys: the names of a world's items and tasks inside the world, the same in every generation.

``world`` for the world's own documents, ``c0007`` for the eighth character and everything that belongs to it, ``c0007-p0003`` for
its fourth post; for tasks that make ten at once ``b000`` (the concepts of the first ten characters) and ``c0007-b000`` (the ideas
of that character's first ten posts).
"""

from __future__ import annotations

import re

from generia_assets.content.shares import BATCH

WORLD_KEY = "world"
EXTENSION = "extension"
"""Names all that the latest extension of a world adds (plan.py), where a generation names its items."""


def character_key(index: int) -> str:
    """The key of the character with this index, counted from 0.

    Past 9,999 it has more digits, and lists show it among those that its text begins with. Only what is shown depends on the order
    of keys: readers need any order, as long as it is the same in the database and in Python.
    """
    return f"c{index:04d}"


def character_index(key: str) -> int:
    return int(key.removeprefix("c"))


def is_character_key(text: str) -> bool:
    return re.fullmatch(r"c\d{4,}", text) is not None


def self_key(character: str, selves: int) -> str:
    """The key of a person and regeneration: facts about the person before a regeneration do not apply afterwards."""
    return f"{character}#{selves}" if selves else character


def post_key(character: str, index: int) -> str:
    """The key of this character's post with this index, counted from 0 in the order of the character's life."""
    return f"{character}-p{index:04d}"


def post_index(key: str) -> int:
    return int(key.rpartition("-p")[2])


def is_post_key(text: str) -> bool:
    return re.fullmatch(r"c\d{4,}-p\d{4,}", text) is not None


def author_of(post: str) -> str:
    return post.partition("-")[0]


def batch_key(index: int) -> str:
    """The key of the batch that invents the character with this index."""
    return f"b{index // BATCH:03d}"


def post_batch_key(character: str, index: int) -> str:
    """The key of the batch that invents this character's post with this index."""
    return f"{character}-b{index // BATCH:03d}"
